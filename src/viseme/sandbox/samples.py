"""Sample clips that can be told apart: a drawn face that speaks, voices of different pitch.

Plain Python and PyAV, no downloads and no binary files in the repository. All functions here block.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# PyAV's Packet is generic, and its methods leave the parameter open.

import math
import wave
from array import array
from fractions import Fraction
from pathlib import Path
from random import Random

import av

from .media import SAMPLE_RATE, Track, jpeg

VOICE_RATE = 16_000
_SKIN, _EYE, _MOUTH, _WALL = (180, 108, 152), (40, 128, 128), (70, 112, 190), (110, 140, 118)
_SYLLABLE = 0.19


def voice_hz(seed: int) -> float:
    """The pitch of the voice with this seed: 100 to 280 Hz, neighbours well apart."""
    return 100.0 + 180.0 * ((seed * 0.618034) % 1.0)


def speech(seconds: float, seed: int = 0, rate: int = VOICE_RATE) -> "array[int]":
    """Speech-like sound: syllables of changing vowels over one pitch, as signed 16-bit samples."""
    random = Random(seed)
    vowels = [_vowel(random) for _ in range(4)]
    step = voice_hz(seed) * 512 / rate
    length = int(_SYLLABLE * rate)
    samples = array("h")
    total = round(seconds * rate)
    phase = 0.0
    while len(samples) < total:
        vowel = random.choice(vowels)
        loud = random.uniform(0.55, 1.0)
        shape = [loud * math.sin(math.pi * (n + 0.5) / length) ** 0.5 for n in range(length)]
        for gain in shape:
            samples.append(int(gain * vowel[int(phase) & 511]))
            phase += step
    return samples[:total]


def _vowel(random: Random) -> list[int]:
    weights = [1.0] + [random.uniform(0.1, 0.6) / harmonic for harmonic in range(2, 7)]
    table = [
        sum(weight * math.sin(2 * math.pi * (k + 1) * n / 512) for k, weight in enumerate(weights)) for n in range(512)
    ]
    top = max(abs(value) for value in table)
    return [int(12_000 * value / top) for value in table]


def spoken(seconds: float, seed: int) -> Track:
    """A voice as a track, for results that the vendor speaks itself."""
    return Track(speech(seconds, seed, SAMPLE_RATE).tobytes())


def make_audio(path: Path, seconds: float = 5.0, seed: int = 1) -> None:
    """Writes a WAV file with the voice of that seed (16 kHz, mono, 16 bit)."""
    with wave.open(str(path), "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(VOICE_RATE)
        target.writeframes(speech(seconds, seed).tobytes())


def make_video(
    path: Path, seconds: float = 4.0, width: int = 320, height: int = 180, fps: int = 25, seed: int = 0
) -> None:
    """Writes an MP4 (H.264, yuv420p, faststart) of a face whose mouth moves, with a quiet voice of its own."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as clip:
        video = clip.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "24"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        sound = clip.add_stream("aac", rate=VOICE_RATE, options={"aac_coder": "fast"}, layout="mono")
        for number in range(round(seconds * fps)):
            frame = draw_face(width, height, math.sin(number / fps * 2 * math.pi * 2.5) ** 2)
            frame.pts, frame.time_base = number, Fraction(1, fps)
            clip.mux(video.encode(frame))
        clip.mux(video.encode(None))
        quiet = array("h", (value // 12 for value in speech(seconds, seed)))
        for at in range(0, len(quiet), 1024):
            clip.mux(sound.encode(_audio_frame(quiet[at : at + 1024], at)))
        clip.mux(sound.encode(None))


def _audio_frame(samples: "array[int]", at: int) -> av.AudioFrame:
    frame = av.AudioFrame("s16", "mono", len(samples))
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate, frame.time_base, frame.pts = VOICE_RATE, Fraction(1, VOICE_RATE), at
    return frame


def make_image(path: Path, width: int = 320, height: int = 320) -> None:
    """Writes a JPEG of the face."""
    path.write_bytes(jpeg(draw_face(width, height, 0.2).reformat(format="yuvj420p")))


def draw_face(width: int, height: int, open_mouth: float) -> av.VideoFrame:
    """Draws one frame; `open_mouth` goes from 0 (shut) to 1."""
    frame = av.VideoFrame(width, height, "yuv420p")
    radius = min(width, height)
    x, y = width / 2, height / 2
    shapes = [
        (x, y, radius * 0.32, radius * 0.42, _SKIN),
        (x - radius * 0.13, y - radius * 0.12, radius * 0.045, radius * 0.03, _EYE),
        (x + radius * 0.13, y - radius * 0.12, radius * 0.045, radius * 0.03, _EYE),
        (x, y + radius * 0.2, radius * 0.12, radius * (0.012 + 0.06 * open_mouth), _MOUTH),
    ]
    for number, plane in enumerate(frame.planes):
        scale = 1 if number == 0 else 2
        canvas = bytearray([_WALL[number]]) * plane.buffer_size
        for shape in shapes:
            _ellipse(canvas, plane.line_size, plane.height, scale, shape, shape[4][number])
        plane.update(bytes(canvas))
    return frame


def _ellipse(
    canvas: bytearray,
    stride: int,
    rows: int,
    scale: int,
    shape: tuple[float, float, float, float, tuple[int, int, int]],
    value: int,
) -> None:
    x, y, across, down, _ = (*(part / scale for part in shape[:4]), None)
    for row in range(max(0, math.ceil(y - down)), min(rows, math.floor(y + down) + 1)):
        half = across * math.sqrt(max(0.0, 1 - ((row - y) / down) ** 2))
        left, right = max(0, round(x - half)), min(stride, round(x + half))
        canvas[row * stride + left : row * stride + right] = bytes([value]) * max(0, right - left)
