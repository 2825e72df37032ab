"""reference.py MODEL.gguf N PROMPT: what an encoder-decoder model writes, by other programs.

SentencePiece cuts the prompt into tokens, CTranslate2 computes the model in 32-bit floats, and
takes the likeliest token each time, up to the end of the sequence or N of them. Prints a JSON
object: `prompt` and `output` are ids, `written` is the output's text, `margin` is by how much the
likeliest token was ahead of the second when that was least.
"""

import json
import sys
import tempfile

import ctranslate2
import gguf
import numpy
import sentencepiece
from ctranslate2.specs import common_spec, transformer_spec

# SentencePiece's numbers of its pieces' types are GGUF's, and these are fields of its messages.
PIECES, TRAINER, NORMALIZER = 1, 2, 3
UNIGRAM = 1
# Unknown and control: no text.
HIDDEN = (2, 3)
SPACE = "\u2581"
# Positions farther apart share a bucket. llama.cpp has the number built in.
FARTHEST = 128


def main():
    path, count, prompt = sys.argv[1:]
    file = gguf.GGUFReader(path)
    pieces = list(
        zip(
            meta(file, "tokenizer.ggml.tokens"),
            meta(file, "tokenizer.ggml.scores"),
            meta(file, "tokenizer.ggml.token_type"),
        )
    )
    eos = meta(file, "tokenizer.ggml.eos_token_id")
    read = tokenizer(file, pieces).encode(prompt) + [eos]
    names = [piece[0] for piece in pieces]
    translator = model(file, names)
    [written] = translator.translate_batch(
        [[names[token] for token in read]],
        beam_size=1,
        max_decoding_length=int(count),
        return_end_token=True,
        return_logits_vocab=True,
    )
    ids = {name: token for token, name in enumerate(names)}
    margins = [lead(numpy.array(step)) for step in written.logits[0]]
    output = [ids[name] for name in written.hypotheses[0]]
    shown = [pieces[token][0] for token in output if pieces[token][2] not in HIDDEN]
    answer = {
        "prompt": read,
        "output": output,
        "written": "".join(shown).replace(SPACE, " "),
        "margin": float(min(margins)),
    }
    print(json.dumps(answer))


def lead(logits):
    second, first = numpy.sort(logits.reshape(-1))[-2:]
    return first - second


def meta(file, key):
    return file.get_field(key).contents()


def tokenizer(file, pieces):
    """A SentencePiece model of the same pieces, in the encoding of Protocol Buffers."""
    message = b""
    for text, score, kind in pieces:
        piece = field(1, text.encode()) + fixed(2, score) + number(3, kind)
        message += field(PIECES, piece)
    special = {
        40: meta(file, "tokenizer.ggml.unknown_token_id"),
        42: meta(file, "tokenizer.ggml.eos_token_id"),
        43: meta(file, "tokenizer.ggml.padding_token_id"),
    }
    trainer = number(3, UNIGRAM) + number(41, -1)
    message += field(TRAINER, trainer + b"".join(number(*entry) for entry in special.items()))
    charsmap = bytes(meta(file, "tokenizer.ggml.precompiled_charsmap"))
    normalizer = field(1, b"given") + field(2, charsmap)
    normalizer += number(3, meta(file, "tokenizer.ggml.add_space_prefix"))
    normalizer += number(4, meta(file, "tokenizer.ggml.remove_extra_whitespaces"))
    normalizer += number(5, True)
    message += field(NORMALIZER, normalizer)
    return sentencepiece.SentencePieceProcessor(model_proto=message)


def varint(value):
    value &= (1 << 64) - 1
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number(index, value):
    return varint(index << 3) + varint(int(value))


def fixed(index, value):
    return varint(index << 3 | 5) + numpy.float32(value).tobytes()


def field(index, value):
    return varint(index << 3 | 2) + varint(len(value)) + value


def model(file, names):
    tensors = {tensor.name: tensor.data for tensor in file.tensors}
    gated = "enc.blk.0.ffn_gate.weight" in tensors
    tied = "output.weight" not in tensors
    spec = transformer_spec.TransformerSpec.from_config(
        (meta(file, "t5.block_count"), meta(file, "t5.decoder_block_count")),
        meta(file, "t5.attention.head_count"),
        pre_norm=True,
        activation=common_spec.Activation.GELUTanh if gated else common_spec.Activation.RELU,
        ffn_glu=gated,
        relative_attention_bias=True,
        rms_norm=True,
    )
    stack(spec.encoder, "enc", tensors)
    stack(spec.decoder, "dec", tensors)
    spec.decoder.projection.weight = tensors["token_embd.weight" if tied else "output.weight"]
    if tied:
        spec.decoder.scale_outputs = numpy.float32(meta(file, "t5.embedding_length") ** -0.5)
    start = meta(file, "t5.decoder_start_token_id")
    spec.config.unk_token = names[meta(file, "tokenizer.ggml.unknown_token_id")]
    spec.config.eos_token = names[meta(file, "tokenizer.ggml.eos_token_id")]
    spec.config.bos_token = names[start]
    spec.config.decoder_start_token = names[start]
    spec.config.layer_norm_epsilon = meta(file, "t5.attention.layer_norm_rms_epsilon")
    spec.register_source_vocabulary(names)
    spec.register_target_vocabulary(names)
    spec.validate()
    with tempfile.TemporaryDirectory() as folder:
        spec.save(folder)
        return ctranslate2.Translator(folder, compute_type="float32", inter_threads=1, intra_threads=1)


def stack(spec, side, tensors):
    embeddings = spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings
    embeddings.weight = tensors["token_embd.weight"]
    spec.scale_embeddings = False
    spec.layer_norm.gamma = tensors[f"{side}.output_norm.weight"]
    for index, layer in enumerate(spec.layer):
        of = lambda name: tensors[f"{side}.blk.{index}.{name}.weight"]
        attention(layer.self_attention, of, "attn", [["q", "k", "v"], ["o"]])
        # The first block's bias is everyone's.
        bias = tensors[f"{side}.blk.0.attn_rel_b.weight"]
        layer.self_attention.relative_attention_bias = bias
        layer.self_attention.relative_attention_max_distance = numpy.int32(FARTHEST)
        if side == "dec":
            attention(layer.attention, of, "cross_attn", [["q"], ["k", "v"], ["o"]])
        layer.ffn.layer_norm.gamma = of("ffn_norm")
        layer.ffn.linear_1.weight = of("ffn_down")
        if hasattr(layer.ffn, "linear_0_noact"):
            layer.ffn.linear_0.weight = of("ffn_gate")
            layer.ffn.linear_0_noact.weight = of("ffn_up")
        else:
            layer.ffn.linear_0.weight = of("ffn_up")


def attention(spec, of, prefix, matrices):
    spec.layer_norm.gamma = of(f"{prefix}_norm")
    spec.queries_scale = numpy.float32(1)
    for linear, names in zip(spec.linear, matrices):
        linear.weight = numpy.concatenate([of(f"{prefix}_{name}") for name in names])


main()
