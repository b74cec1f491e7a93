#!/usr/bin/env python3
"""Programs without ROS transcribe over HTTP, as with OpenAI's server: see docs/guide.md.

It asks for no password, so it serves this machine alone. The parameter `host` changes that.
"""

from array import array
import threading
import time
from typing import Annotated, Any, Literal

from distil_whisper_msgs.msg import Transcript
from distil_whisper_msgs.srv import Transcribe
from fastapi import FastAPI, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from starlette.exceptions import HTTPException
import uvicorn

from distil_whisper_ros.audio.pcm import to_int16
from distil_whisper_ros.audio.recordings import load_recording
from distil_whisper_ros.core.errors import FileError

LARGEST, LONGEST, PATIENCE = 25, 600.0, 10.0  # MB; s of a recording; s more than that to wait
app = FastAPI(title='distil_whisper_ros')
rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C is uvicorn's
node = Node('speech_http_server', start_parameter_services=False)
service = node.create_client(Transcribe, 'speech/transcribe')
one_at_a_time = threading.Lock()


@app.exception_handler(HTTPException)
@app.exception_handler(RequestValidationError)
@app.exception_handler(FileError)
async def failed(_request: Request, error: Any) -> JSONResponse:
    """Answer with an error as OpenAI writes it."""
    status, message = getattr(error, 'status_code', 400), getattr(error, 'detail', str(error))
    if isinstance(error, RequestValidationError):
        message = f'{error.errors()[0]["loc"][-1]}: {error.errors()[0]["msg"]}'
    kind = 'invalid_request_error' if status < 500 else 'server_error'
    body = {'error': {'message': message, 'type': kind, 'param': None, 'code': None}}
    return JSONResponse(body, status)


@app.middleware('http')
async def bound(request: Request, answer: Any) -> Any:
    """Refuse an upload that is too large before it is kept."""
    size = int(request.headers.get('content-length', 0))
    if size <= LARGEST * 1e6 and 'transfer-encoding' not in request.headers:
        return await answer(request)
    if 0 < size < 1e9:  # many clients read no answer before they have sent all
        async for _ in request.stream():
            pass
    reason = f'the upload is larger than {LARGEST} MB, or has no header Content-Length'
    return await failed(request, HTTPException(413, reason))


def transcript_of(upload: UploadFile, request: Transcribe.Request) -> Transcript:
    """Return the recognizer's transcript; raise an HTTPException or a FileError."""
    path = f'/proc/self/fd/{upload.file.fileno()}'
    upload.file.flush()
    sound = load_recording(path, name=f'the recording {upload.filename}', max_duration=LONGEST)
    request.audio.sample_rate, request.audio.channels = 16_000, 1
    request.audio.data = array('h', to_int16(sound.samples).tobytes())
    if not service.wait_for_service(3.0):
        raise HTTPException(503, 'there is no recognizer: start it, or wait for it')
    future: Any = service.call_async(request)
    deadline = time.monotonic() + PATIENCE + len(sound.samples) / 16_000
    while not future.done():
        if time.monotonic() > deadline or not service.wait_for_service(3.0):
            service.remove_pending_request(future)
            raise HTTPException(503, 'the recognizer gave no answer: try again')
        rclpy.spin_until_future_complete(node, future, timeout_sec=0.5)
    heard = future.result().transcript
    if heard.outcome in (Transcript.OUTCOME_FAILED, Transcript.OUTCOME_CANCELED):
        wrong = heard.reason.startswith(('audio.', 'model.language'))
        raise HTTPException(400 if wrong else 503, heard.reason.removeprefix('model.'))
    return heard


@app.post('/v1/audio/transcriptions')
def transcriptions(
    file: UploadFile,
    language: Annotated[str, Form()] = '',
    prompt: Annotated[str, Form()] = '',
    response_format: Annotated[Literal['json', 'text', 'verbose_json'], Form()] = 'json',
) -> Any:
    """Transcribe a recording; other fields, as `model`, are ignored: the node knows its own."""
    with one_at_a_time:  # a recording takes memory, and the node has one model
        heard = transcript_of(file, Transcribe.Request(language=language, prompt=prompt))
    text, segments = (heard.text, heard.segments) if heard.accepted else ('', [])
    if response_format != 'verbose_json':
        return {'text': text} if response_format == 'json' else PlainTextResponse(f'{text}\n')
    content = {'task': 'transcribe', 'language': heard.language, 'duration': heard.audio_duration}
    names = {'avg_logprob': 'mean_log_probability', 'no_speech_prob': 'no_speech_probability'}
    names |= {name: name for name in ('start', 'end', 'text', 'compression_ratio')}
    rest = {'seek': 0, 'tokens': [], 'temperature': 0.0}  # what the node does not tell
    content['segments'] = [
        {'id': index, **rest, **{name: getattr(part, field) for name, field in names.items()}}
        for index, part in enumerate(segments)
    ]
    words = [word for segment in segments for word in segment.words]
    content['words'] = [{'word': w.text, 'start': w.start, 'end': w.end} for w in words]
    return {**content, 'text': text, 'reason': heard.reason}  # why there is no text


if __name__ == '__main__':
    try:
        host = str(node.declare_parameter('host', '127.0.0.1').value)
        port = int(str(node.declare_parameter('port', 8000).value))
    except ParameterException as error:
        raise SystemExit(f'http_server: {error}') from None
    if not 0 < port < 65536:
        raise SystemExit(f'http_server: port is {port}, but must be from 1 to 65535')
    uvicorn.run(app, host=host, port=port, limit_concurrency=32)
