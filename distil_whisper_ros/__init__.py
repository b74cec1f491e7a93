"""Speech recognition for ROS 2 robots: from the microphone to text, with Distil-Whisper."""
