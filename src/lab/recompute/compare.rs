//! Two records, value by value.
//!
//! Numbers are compared as they are written, with every digit: equal means equal bit for bit.

use serde::Serialize;
use serde_json::Value;

/// What a record says about its own making, and about where its raw data lies: no figures.
const NO_FIGURES: [&str; 6] = [
    "time",
    "mono_ns",
    "boot_id",
    "clock_sync",
    "raw",
    "reasons.raw",
];

/// A value that differs. `None`: the record has no such field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    pub path: String,
    pub published: Option<Value>,
    pub recomputed: Option<Value>,
}

/// What a comparison has found so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Comparison {
    /// Numbers, texts and nulls that were compared.
    pub values: u64,
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// Compares two records; paths begin with `name`.
    pub fn record(&mut self, name: &str, published: &Value, recomputed: &Value) {
        let no_figure = |path: &str| NO_FIGURES.contains(&path);
        self.value(name, "", &no_figure, Some(published), Some(recomputed));
    }

    pub fn differs(&mut self, path: &str, published: Option<Value>, recomputed: Option<Value>) {
        self.differences.push(Difference {
            path: path.to_owned(),
            published,
            recomputed,
        });
    }

    fn value(
        &mut self,
        name: &str,
        path: &str,
        skipped: &dyn Fn(&str) -> bool,
        published: Option<&Value>,
        recomputed: Option<&Value>,
    ) {
        if skipped(path) {
            return;
        }
        match (published, recomputed) {
            (Some(Value::Object(a)), Some(Value::Object(b))) => {
                let only_b = b.keys().filter(|key| !a.contains_key(*key));
                for key in a.keys().chain(only_b) {
                    let path = match path {
                        "" => key.clone(),
                        _ => format!("{path}.{key}"),
                    };
                    self.value(name, &path, skipped, a.get(key), b.get(key));
                }
            }
            (Some(Value::Array(a)), Some(Value::Array(b))) => {
                for index in 0..a.len().max(b.len()) {
                    let path = format!("{path}[{index}]");
                    self.value(name, &path, skipped, a.get(index), b.get(index));
                }
            }
            (a, b) => {
                self.values += 1;
                // As written, since -0 equals 0 as a number.
                if a.map(Value::to_string) != b.map(Value::to_string) {
                    let path = format!("{name}{path}");
                    self.differs(&path, a.cloned(), b.cloned());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(published: Value, recomputed: Value) -> (u64, Vec<String>) {
        let mut comparison = Comparison::default();
        comparison.record("tokens[2].", &published, &recomputed);
        let paths = comparison.differences.into_iter();
        (comparison.values, paths.map(|d| d.path).collect())
    }

    #[test]
    fn what_differs_is_named_by_its_path() {
        let published = json!({"a": {"b": [1.0, 2.0]}, "gone": 1, "x": null, "n": [1]});
        let recomputed = json!({"a": {"b": [1.0, 2.5]}, "new": 1, "x": 0.0, "n": [1, 2]});
        let (values, mut paths) = compared(published, recomputed);
        paths.sort();
        let expected = ["a.b[1]", "gone", "n[1]", "new", "x"].map(|p| format!("tokens[2].{p}"));
        assert_eq!(paths, expected);
        assert_eq!(values, 7);
    }

    #[test]
    fn a_single_bit_is_a_difference() {
        let (a, b) = (
            json!({"a": 0.1 + 0.2, "z": -0.0}),
            json!({"a": 0.3, "z": 0.0}),
        );
        assert_eq!(compared(a.clone(), b).1.len(), 2);
        assert_eq!(compared(a.clone(), a).1.len(), 0);
    }

    #[test]
    fn when_it_was_made_is_no_figure() {
        let published = json!({"time": "a", "mono_ns": 1, "boot_id": "x", "clock_sync": true,
            "raw": {"file": "f"}, "reasons": {}, "reps": [{"time": 1}]});
        let recomputed = json!({"time": "b", "mono_ns": 2, "boot_id": "y", "clock_sync": false,
            "raw": null, "reasons": {"raw": "not-stored"}, "reps": [{"time": 2}]});
        let (values, paths) = compared(published, recomputed);
        assert_eq!(
            (values, paths),
            (1, vec!["tokens[2].reps[0].time".to_owned()])
        );
    }
}
