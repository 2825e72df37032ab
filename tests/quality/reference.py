"""Scores given text with a model in a GGUF file, without llama.cpp: NumPy computes with the
dequantised weights, and the tokeniser is Hugging Face's or, for a model of bytes, this one.

    reference.py choice MODEL ITEMS.jsonl       one JSON line an item
    reference.py perplexity MODEL TEXT N_CTX    one JSON line

It knows Llama's architecture, which SmolLM2 and the tests' tiny model have.
"""

import json
import math
import sys

import gguf
import numpy
import tokenizers


class Model:
    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        field = {name: value.contents() for name, value in reader.fields.items() if "." in name}
        assert field["general.architecture"] == "llama", field["general.architecture"]
        self.heads = field["llama.attention.head_count"]
        self.kv_heads = field.get("llama.attention.head_count_kv", self.heads)
        self.blocks = field["llama.block_count"]
        self.epsilon = field["llama.attention.layer_norm_rms_epsilon"]
        self.base = field.get("llama.rope.freq_base", 10_000.0)
        self.tensors = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
            for tensor in reader.tensors
        }
        self.tokens = Bytes(field) if field["tokenizer.ggml.model"] == "llama" else Pairs(field)

    def log_probabilities(self, ids):
        """A row of log-probabilities for each token, of what follows on it."""
        x = self.tensors["token_embd.weight"][ids]
        for block in range(self.blocks):
            def of(name):
                return self.tensors[f"blk.{block}.{name}.weight"]

            x = x + self.attention(norm(x, of("attn_norm"), self.epsilon), of)
            y = norm(x, of("ffn_norm"), self.epsilon)
            gate = y @ of("ffn_gate").T
            x = x + (gate / (1 + numpy.exp(-gate)) * (y @ of("ffn_up").T)) @ of("ffn_down").T
        x = norm(x, self.tensors["output_norm.weight"], self.epsilon)
        output = self.tensors.get("output.weight", self.tensors["token_embd.weight"])
        logits = (x @ output.T).astype(numpy.float64)
        most = logits.max(axis=1, keepdims=True)
        return logits - most - numpy.log(numpy.exp(logits - most).sum(axis=1, keepdims=True))

    def attention(self, x, of):
        n = len(x)
        q = (x @ of("attn_q").T).reshape(n, self.heads, -1)
        k = (x @ of("attn_k").T).reshape(n, self.kv_heads, -1)
        v = (x @ of("attn_v").T).reshape(n, self.kv_heads, -1)
        q, k = self.rotated(q), self.rotated(k)
        shared = self.heads // self.kv_heads
        k, v = numpy.repeat(k, shared, axis=1), numpy.repeat(v, shared, axis=1)
        scores = numpy.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        scores = numpy.where(numpy.tri(n, dtype=bool), scores, -numpy.inf)
        weights = numpy.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        return numpy.einsum("hqk,khd->qhd", weights, v).reshape(n, -1) @ of("attn_output").T

    def rotated(self, x):
        """Rotary positions, of neighbouring elements as GGUF orders them for Llama."""
        n, _, size = x.shape
        frequencies = self.base ** (-numpy.arange(0, size, 2) / size)
        angles = numpy.outer(numpy.arange(n), frequencies)[:, None, :]
        cos, sin = numpy.cos(angles), numpy.sin(angles)
        even, odd = x[..., 0::2], x[..., 1::2]
        turned = numpy.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
        return turned.reshape(x.shape).astype(numpy.float32)

    def log_likelihood(self, context, continuation):
        """Of `continuation` after `context`, both token ids."""
        rows = self.log_probabilities((context + continuation)[:-1])[len(context) - 1 :]
        return float(sum(row[token] for row, token in zip(rows, continuation, strict=True)))


def norm(x, weight, epsilon):
    return x / numpy.sqrt((x * x).mean(axis=1, keepdims=True) + epsilon) * weight


class Bytes:
    """The tests' tiny model: a token a byte, but for spaces, and one at the beginning."""

    def __init__(self, field):
        names = {name: at for at, name in enumerate(field["tokenizer.ggml.tokens"])}
        self.byte = [names[f"<0x{byte:02X}>"] for byte in range(256)]
        self.space = names["\u2581"]
        self.bos = field["tokenizer.ggml.bos_token_id"] if field["tokenizer.ggml.add_bos_token"] else None

    def encode(self, text, special=True):
        ids = []
        for character in text:
            ids += [self.space] if character == " " else [self.byte[b] for b in character.encode()]
        return ([self.bos] if self.bos is not None and special else []) + ids


class Pairs:
    """Byte pairs as SmolLM2 has them: each digit by itself, the rest as GPT-2 does."""

    def __init__(self, field):
        assert field["tokenizer.ggml.pre"] == "smollm", field["tokenizer.ggml.pre"]
        names = field["tokenizer.ggml.tokens"]
        merges = [tuple(pair.split(" ")) for pair in field["tokenizer.ggml.merges"]]
        vocabulary = {name: at for at, name in enumerate(names)}
        self.tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, merges))
        pre = tokenizers.pre_tokenizers
        self.tokenizer.pre_tokenizer = pre.Sequence(
            [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False, use_regex=True)]
        )
        types = field["tokenizer.ggml.token_type"]
        control = [name for name, kind in zip(names, types, strict=True) if kind == 3]
        self.tokenizer.add_special_tokens(control)
        adds = field.get("tokenizer.ggml.add_bos_token", False)
        self.bos = field["tokenizer.ggml.bos_token_id"] if adds else None

    def encode(self, text, special=True):
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ([self.bos] if self.bos is not None and special else []) + ids


def items(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def choice(model, item):
    """The log-likelihood of each choice, by lm-evaluation-harness's rule for the boundary."""
    context, end = item["context"].rstrip(), item["context"][len(item["context"].rstrip()) :]
    likelihoods = []
    for text in item["choices"]:
        continuation = end + item.get("delimiter", " ") + text
        before, whole = model.tokens.encode(context), model.tokens.encode(context + continuation)
        likelihoods.append(model.log_likelihood(before, whole[len(before) :]))
    lengths = [len(text) for text in item["choices"]]
    return {
        "ln_p": likelihoods,
        "picked": int(numpy.argmax(likelihoods)),
        "picked_norm": int(numpy.argmax(numpy.divide(likelihoods, lengths))),
    }


def perplexity(model, text, n_ctx):
    """As llama-perplexity: whole chunks, of which the second half is scored."""
    ids = model.tokens.encode(text.removesuffix("\n"))
    nll = []
    for start in range(0, len(ids) // n_ctx * n_ctx, n_ctx):
        chunk = ids[start : start + n_ctx]
        first = [chunk[0] if model.tokens.bos is None else model.tokens.bos]
        rows = model.log_probabilities(first + chunk[1:])
        nll += [-rows[at][chunk[at + 1]] for at in range(n_ctx // 2, n_ctx - 1)]
    mean = float(numpy.mean(nll))
    error = float(numpy.std(nll, ddof=1)) / math.sqrt(len(nll))
    return {
        "tokens_scored": len(nll),
        "perplexity": math.exp(mean),
        "perplexity_se": math.exp(mean) * error,
    }


def main():
    what, path, data = sys.argv[1:4]
    model = Model(path)
    if what == "choice":
        for item in items(data):
            print(json.dumps(choice(model, item)), flush=True)
    else:
        with open(data, encoding="utf-8", newline="") as text:
            print(json.dumps(perplexity(model, text.read(), int(sys.argv[4]))))


if __name__ == "__main__":
    main()
