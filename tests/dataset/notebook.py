"""Executes a notebook on a dataset, and prints what its `table` came to and what it printed.

notebook.py NOTEBOOK ROOT [EXECUTED]: the executed notebook goes to EXECUTED.
"""

import json
import os
import sys

import nbformat
from nbclient import NotebookClient

path, root = sys.argv[1:3]
os.environ["JOULED_DATASET"] = root
notebook = nbformat.read(path, as_version=4)
probe = "print(table.reset_index().to_json(orient='records', double_precision=15))"
notebook.cells.append(nbformat.v4.new_code_cell(probe))
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()

code = [cell for cell in notebook.cells if cell.cell_type == "code"]
streams = ["".join(out.text for out in cell.outputs if out.output_type == "stream") for cell in code]
print(json.dumps({"table": json.loads(streams[-1]), "printed": streams[:-1]}))
if len(sys.argv) > 3:
    notebook.cells.pop()
    nbformat.write(notebook, sys.argv[3])
