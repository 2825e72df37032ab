"""Reads a dataset as its users do, and prints what they find as JSON.

read.py READER ROOT, where READER is one of the functions below.
"""

import json
import sys

TABLES = [
    "tokens", "trace", "rails", "health", "sensors", "states", "events", "phases", "runs", "results",
]
# Of tokens: what is summed, and what must stay missing.
SUM = "energy_j"


def duckdb_parquet(root):
    import duckdb

    return by_sql(duckdb.connect(), lambda t: f"read_parquet('{root}/{t}/**/*.parquet', hive_types={{'device': VARCHAR}})")


def duckdb_csv(root):
    import duckdb

    return by_sql(duckdb.connect(), lambda t: f"read_csv('{root}/{t}/**/*.csv', hive_partitioning=true, hive_types={{'device': VARCHAR}})")


def by_sql(db, table):
    out = {}
    for name in TABLES:
        relation = table(name)
        columns = db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
        rows = db.execute(f"SELECT count(*) FROM {relation}").fetchone()[0]
        places = db.execute(f"SELECT DISTINCT date::VARCHAR, device FROM {relation} ORDER BY 1, 2").fetchall()
        out[name] = {
            "rows": rows,
            "types": {column[0]: column[1] for column in columns},
            "places": [list(place) for place in places],
        }
    relation = table("tokens")
    total, missing, reasons = db.execute(
        f"SELECT sum({SUM}), count(*) FILTER ({SUM} IS NULL), list(DISTINCT {SUM}_reason ORDER BY 1) FROM {relation}"
    ).fetchone()
    out["sum"] = {"energy_j": total, "missing": missing, "reasons": [r for r in reasons if r]}
    time = db.execute(f"SELECT epoch_us(min(time)) FROM {relation}").fetchone()[0]
    out["time_us"] = time
    return out


def pandas_parquet(root):
    import pandas

    out = {name: of_pandas(pandas.read_parquet(f"{root}/{name}")) for name in TABLES}
    tokens = pandas.read_parquet(f"{root}/tokens")
    out["sum"] = {
        "energy_j": float(tokens[SUM].sum()),
        "missing": int(tokens[SUM].isna().sum()),
        "reasons": sorted(tokens[f"{SUM}_reason"].dropna().unique()),
    }
    out["time_us"] = int(tokens["time"].min().timestamp() * 1_000_000)
    return out


def of_pandas(frame):
    places = frame[["date", "device"]].astype(str).drop_duplicates()
    return {
        "rows": len(frame),
        "types": {name: str(kind) for name, kind in frame.dtypes.items()},
        "places": sorted(places.values.tolist()),
    }


def pyarrow_csv(root):
    import pyarrow.dataset

    out = {}
    for name in TABLES:
        table = pyarrow.dataset.dataset(f"{root}/{name}", format="csv", partitioning="hive").to_table()
        out[name] = of_pandas(table.to_pandas())
        if name == "tokens":
            tokens = table.to_pandas()
    out["sum"] = {
        "energy_j": float(tokens[SUM].sum()),
        "missing": int(tokens[SUM].isna().sum()),
        "reasons": sorted(r for r in tokens[f"{SUM}_reason"].dropna().unique() if r),
    }
    out["time_us"] = int(tokens["time"].min().timestamp() * 1_000_000)
    return out


def polars_parquet(root):
    import polars

    out = {}
    for name in TABLES:
        frame = polars.read_parquet(f"{root}/{name}/**/*.parquet", hive_partitioning=True)
        places = frame.select(polars.col("date").cast(str), "device").unique()
        out[name] = {
            "rows": len(frame),
            "types": {column: str(kind) for column, kind in frame.schema.items()},
            "places": sorted(map(list, places.rows())),
        }
    tokens = polars.scan_parquet(f"{root}/tokens/**/*.parquet", hive_partitioning=True)
    total, missing = tokens.select(polars.col(SUM).sum(), polars.col(SUM).null_count().alias("n")).collect().row(0)
    reasons = tokens.select(polars.col(f"{SUM}_reason").drop_nulls().unique()).collect()
    out["sum"] = {"energy_j": total, "missing": missing, "reasons": sorted(reasons.to_series().to_list())}
    out["time_us"] = int(tokens.select(polars.col("time").min().dt.epoch("us")).collect().item())
    return out


def sqlite(root):
    import sqlite3

    db = sqlite3.connect(f"file:{root}/dataset.sqlite?mode=ro", uri=True)
    out = {}
    for name in TABLES:
        types = {row[1]: row[2] for row in db.execute(f"PRAGMA table_info({name})")}
        rows = db.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        places = db.execute(f"SELECT DISTINCT date, device FROM {name} ORDER BY 1, 2").fetchall()
        out[name] = {"rows": rows, "types": types, "places": [list(p) for p in places]}
    total, missing = db.execute(f"SELECT sum({SUM}), sum({SUM} IS NULL) FROM tokens").fetchone()
    reasons = db.execute(f"SELECT DISTINCT {SUM}_reason FROM tokens WHERE {SUM}_reason IS NOT NULL ORDER BY 1")
    out["sum"] = {"energy_j": total, "missing": missing, "reasons": [r[0] for r in reasons]}
    out["time_us"] = int(db.execute("SELECT CAST(strftime('%s', min(time)) AS INTEGER) * 1000000 FROM tokens").fetchone()[0])
    return out


def pandas_sqlite(root):
    import sqlite3

    import pandas

    db = sqlite3.connect(f"{root}/dataset.sqlite")
    frames = {name: pandas.read_sql(f"SELECT * FROM {name}", db, parse_dates=["time"]) for name in TABLES}
    out = {name: of_pandas(frame) for name, frame in frames.items()}
    tokens = frames["tokens"]
    out["sum"] = {
        "energy_j": float(tokens[SUM].sum()),
        "missing": int(tokens[SUM].isna().sum()),
        "reasons": sorted(tokens[f"{SUM}_reason"].dropna().unique()),
    }
    out["time_us"] = int(tokens["time"].min().timestamp() * 1_000_000)
    return out


if __name__ == "__main__":
    reader, root = sys.argv[1:]
    print(json.dumps(globals()[reader](root)))
