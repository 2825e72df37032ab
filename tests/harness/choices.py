"""Items of a `choice` job by lm-evaluation-harness's own task, splitting, counting and errors;
the log-likelihoods are those of tests/quality/reference.py.

    choices.py MODEL ITEMS.jsonl
"""

import json
import os
import pathlib
import sys
import tempfile

# Before the harness is imported: it is to fetch nothing and to leave nothing behind.
FOLDER = tempfile.TemporaryDirectory()
os.environ |= {"HF_HOME": FOLDER.name, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "quality"))
import reference
from lm_eval import simple_evaluate
from lm_eval.api.model import TemplateLM
from lm_eval.tasks import TaskManager

TASK = """
task: items
dataset_path: json
dataset_kwargs:
  data_files:
    test: {items}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: acc_norm
  - metric: acc_bytes
"""


class Harnessed(TemplateLM):
    def __init__(self, model):
        super().__init__()
        self.model = model

    eot_token_id = property(lambda self: self.model.tokens.bos)
    tokenizer_name = "reference"

    def tok_encode(self, string, add_special_tokens=None, **_):
        return self.model.tokens.encode(string, special=add_special_tokens is not False)

    def _loglikelihood_tokens(self, requests, **_):
        return [(self.model.log_likelihood(c, t), False) for _, c, t in requests]

    def loglikelihood_rolling(self, requests, **_):
        raise NotImplementedError

    def generate_until(self, requests, **_):
        raise NotImplementedError


def main():
    path, items = sys.argv[1:3]
    task = pathlib.Path(FOLDER.name) / "items.yaml"
    task.write_text(TASK.format(items=pathlib.Path(items).absolute()))
    done = simple_evaluate(
        Harnessed(reference.Model(path)),
        tasks=["items"],
        task_manager=TaskManager(include_path=FOLDER.name, include_defaults=False),
        log_samples=True,
        # Errors of means have a closed form; 0 would leave them out too.
        bootstrap_iters=100,
    )
    of_harness = done["results"]["items"]
    samples = sorted(done["samples"]["items"], key=lambda sample: sample["doc_id"])
    likelihoods = [[float(pair[0]) for pair in sample["filtered_resps"]] for sample in samples]
    print(
        json.dumps(
            {
                name: of_harness[f"{name},none"]
                for name in ("acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "acc_bytes")
            }
            | {
                "right": [sample["acc"] == 1 for sample in samples],
                "right_norm": [sample["acc_norm"] == 1 for sample in samples],
                "ln_p": likelihoods,
            }
        )
    )


if __name__ == "__main__":
    main()
