"""Writes a GGUF of random weights in the exact shape of a model that is not to be had here.

Such a model runs at the speed, with the memory and at the energy of the real one, since neither
depends on what the weights are. It says nothing sensible, and its name, its metadata and the
.json beside it say so: never judge quality by it.

The vocabulary has the real one's size, pre-tokenizer and special tokens; its merges are made up,
so that a text has more tokens than the real tokenizer makes of it.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import shutil
import sys
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import gguf
import numpy as np

SEED = 20260101
# The spread from which both models' training began (initializer_range of their configurations).
SPREAD = 0.02
# Elements drawn at a time.
CHUNK = 1 << 22
SPARE_BYTES = 1 << 30
DESCRIPTION = (
    "Random weights in the shape of {name}: for speed, memory and energy only. "
    "It was never trained and says nothing sensible."
)
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADERS = (
    "{% for message in messages %}<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}"
    "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


@dataclass(frozen=True)
class Shape:
    """As in the configuration (config.json) that the model's makers publish with it."""

    name: str
    arch: gguf.MODEL_ARCH
    blocks: int
    embedding: int
    feed_forward: int
    heads: int
    kv_heads: int
    context: int
    rope_base: float
    epsilon: float
    # Of queries, keys and values.
    biases: bool
    # Frequencies of the rotary embedding are stretched (rope_type "llama3").
    stretched: bool
    # Tokens that text is made of; special ones and padding follow.
    plain: int
    vocabulary: int
    special: dict[int, str]
    filler: str
    pre: str
    bos: int
    eos: int
    add_bos: bool
    template: str

    @property
    def head(self) -> int:
        return self.embedding // self.heads


SHAPES = {
    "qwen2-0.5b": Shape(
        name="Qwen2-0.5B",
        arch=gguf.MODEL_ARCH.QWEN2,
        blocks=24,
        embedding=896,
        feed_forward=4864,
        heads=14,
        kv_heads=2,
        context=32768,
        rope_base=1_000_000.0,
        epsilon=1e-6,
        biases=True,
        stretched=False,
        plain=151643,
        vocabulary=151936,
        special={151643: "<|endoftext|>", 151644: "<|im_start|>", 151645: "<|im_end|>"},
        filler="[PAD{}]",
        pre="qwen2",
        bos=151643,
        eos=151645,
        add_bos=False,
        template=CHATML,
    ),
    "llama-3.2-1b": Shape(
        name="Llama-3.2-1B",
        arch=gguf.MODEL_ARCH.LLAMA,
        blocks=16,
        embedding=2048,
        feed_forward=8192,
        heads=32,
        kv_heads=8,
        context=131072,
        rope_base=500_000.0,
        epsilon=1e-5,
        biases=False,
        stretched=True,
        plain=128000,
        vocabulary=128256,
        special={
            128000: "<|begin_of_text|>",
            128001: "<|end_of_text|>",
            128004: "<|finetune_right_pad_id|>",
            128006: "<|start_header_id|>",
            128007: "<|end_header_id|>",
            128008: "<|eom_id|>",
            128009: "<|eot_id|>",
            128010: "<|python_tag|>",
        },
        filler="<|reserved_special_token_{}|>",
        pre="llama-bpe",
        bos=128000,
        eos=128009,
        add_bos=True,
        template=HEADERS,
    ),
}


def tiny(shape: Shape) -> Shape:
    """The same kind of model, small enough for a test."""
    plain = 2000
    shift = plain - shape.plain
    special = {id + shift: text for id, text in shape.special.items()}
    return replace(
        shape,
        name=f"tiny-{shape.name}",
        blocks=2,
        embedding=256,
        feed_forward=512,
        heads=4,
        kv_heads=2,
        plain=plain,
        vocabulary=plain + shape.vocabulary - shape.plain,
        special=special,
        bos=shape.bos + shift,
        eos=shape.eos + shift,
    )


def tensors(shape: Shape):
    """Name, shape as numpy has it, and kind of each: a matrix, a vector, ones or frequencies."""
    kv = shape.head * shape.kv_heads
    yield "token_embd.weight", (shape.vocabulary, shape.embedding), "matrix"
    yield "output_norm.weight", (shape.embedding,), "ones"
    if shape.stretched:
        yield "rope_freqs.weight", (shape.head // 2,), "frequencies"
    for n in range(shape.blocks):
        block = f"blk.{n}."
        yield block + "attn_norm.weight", (shape.embedding,), "ones"
        for part, rows in (("q", shape.embedding), ("k", kv), ("v", kv)):
            yield f"{block}attn_{part}.weight", (rows, shape.embedding), "matrix"
            if shape.biases:
                yield f"{block}attn_{part}.bias", (rows,), "vector"
        yield block + "attn_output.weight", (shape.embedding, shape.embedding), "matrix"
        yield block + "ffn_norm.weight", (shape.embedding,), "ones"
        yield block + "ffn_gate.weight", (shape.feed_forward, shape.embedding), "matrix"
        yield block + "ffn_up.weight", (shape.feed_forward, shape.embedding), "matrix"
        yield block + "ffn_down.weight", (shape.embedding, shape.feed_forward), "matrix"


def dtype(kind: str):
    return np.float16 if kind == "matrix" else np.float32


def weights(shape: Shape, dims: tuple[int, ...], kind: str, number: int) -> np.ndarray:
    if kind == "ones":
        return np.ones(dims, np.float32)
    if kind == "frequencies":
        return frequencies(shape)
    # A stream of its own for each tensor, so that none depends on those before it.
    random = np.random.Generator(np.random.SFC64([SEED, number]))
    flat = np.empty(math.prod(dims), dtype(kind))
    for start in range(0, flat.size, CHUNK):
        piece = flat[start : start + CHUNK]
        piece[:] = random.standard_normal(piece.size, np.float32) * np.float32(SPREAD)
    return flat.reshape(dims)


def frequencies(shape: Shape) -> np.ndarray:
    """What the rotary frequencies are divided by: the rule "llama3" of the model's configuration
    (factor 32, low 1, high 4, trained on 8192)."""
    factor, low, high, trained = 32.0, 1.0, 4.0, 8192.0
    divisors = []
    for n in range(0, shape.head, 2):
        turns = trained / (2 * math.pi * shape.rope_base ** (n / shape.head))
        if turns > high:
            divisors.append(1.0)
        elif turns < low:
            divisors.append(factor)
        else:
            smooth = (turns - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(divisors, np.float32)


def byte_tokens() -> list[str]:
    """How byte-level BPE writes each byte as a character (GPT-2's table)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = itertools.count(0x100)
    return [chr(byte if byte in printable else next(spare)) for byte in range(256)]


def vocabulary(shape: Shape) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types, and the merges that make each of the longer ones of two shorter ones:
    frequent letters of English first, a space only in front."""
    tokens = byte_tokens()
    space = tokens[0x20]
    letters = [space, *"etaoinshrdlcumwfgypbvkjxqz", *"TAISOWCBPHFMDRLENGUVYJKQXZ", *"0123456789.,-'"]
    known, parts, merges = set(tokens), list(letters), []
    for both in itertools.count():
        for n in range(both + 1):
            if len(tokens) == shape.plain:
                break
            if max(n, both - n) >= len(parts):
                continue
            first, second = parts[n], parts[both - n]
            if space in second or first + second in known:
                continue
            known.add(first + second)
            tokens.append(first + second)
            parts.append(first + second)
            merges.append(f"{first} {second}")
        if len(tokens) == shape.plain:
            break
    types = [gguf.TokenType.NORMAL] * len(tokens)
    fillers = itertools.count()
    for id in range(shape.plain, shape.vocabulary):
        special = shape.special.get(id)
        tokens.append(special or shape.filler.format(next(fillers)))
        types.append(gguf.TokenType.CONTROL if special else gguf.TokenType.UNUSED)
    return tokens, types, merges


def write(shape: Shape, path: Path) -> None:
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[shape.arch])
    writer.add_name(f"{shape.name} shape, random weights")
    writer.add_description(DESCRIPTION.format(name=shape.name))
    writer.add_tags(["random-weights"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.embedding)
    writer.add_block_count(shape.blocks)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    tokens, types, merges = vocabulary(shape)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(shape.pre)
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(shape.bos)
    writer.add_eos_token_id(shape.eos)
    writer.add_add_bos_token(shape.add_bos)
    writer.add_chat_template(shape.template)
    table = list(tensors(shape))
    for name, dims, kind in table:
        size = math.prod(dims) * np.dtype(dtype(kind)).itemsize
        writer.add_tensor_info(name, dims, np.dtype(dtype(kind)), size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    # One after the other: the whole need not fit into memory.
    for number, (_, dims, kind) in enumerate(table):
        writer.write_tensor_data(weights(shape, dims, kind, number))
    writer.close()


def provenance(shape: Shape, path: Path, name: str) -> dict:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "v": 1,
        "name": name,
        "sha256": sha256,
        "size_bytes": path.stat().st_size,
        "arch": gguf.MODEL_ARCH_NAMES[shape.arch],
        "quant": "F16",
        "time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "by": "scripts/make-study-models",
        "origin": {
            "kind": "random-weights",
            "shape_of": shape.name,
            "seed": SEED,
            "numpy": np.__version__,
            "note": DESCRIPTION.format(name=shape.name),
        },
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("shape", choices=SHAPES)
    arguments.add_argument("out", type=Path, help="the file to write, NAME.gguf")
    arguments.add_argument("--tiny", action="store_true", help="small enough for a test")
    options = arguments.parse_args()
    shape = SHAPES[options.shape]
    if options.tiny:
        shape = tiny(shape)
    needed = sum(math.prod(dims) * np.dtype(dtype(kind)).itemsize for _, dims, kind in tensors(shape))
    free = shutil.disk_usage(options.out.parent).free
    if free < needed + SPARE_BYTES:
        sys.exit(f"{options.out.parent}: {needed >> 20} MiB are needed, {free >> 20} MiB are free")
    part = options.out.with_name(f".{options.out.name}.making")
    try:
        write(shape, part)
        record = provenance(shape, part, options.out.name)
        beside = options.out.with_name(options.out.name + ".json")
        beside.write_text(json.dumps(record, indent=2) + "\n")
        os.replace(part, options.out)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
