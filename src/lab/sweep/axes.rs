//! What a study varies: the keys of `[[matrix]]`, `[[include]]`, `[[exclude]]` and `[baseline]`,
//! where each goes in a job, and their values.

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// One value or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Several<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read<T>(PhantomData<T>);
        macro_rules! single {
            ($($method:ident: $type:ty),* $(,)?) => {
                $(fn $method<E: de::Error>(self, value: $type) -> Result<Self::Value, E> {
                    let value = de::IntoDeserializer::<E>::into_deserializer(value);
                    Ok(Several(vec![T::deserialize(value)?]))
                })*
            };
        }
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Read<T> {
            type Value = Several<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or a list of values")
            }

            single!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64,
                    visit_str: &str, visit_string: String);

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                match values.is_empty() {
                    true => Err(de::Error::custom("an empty list leaves nothing to run")),
                    false => Ok(Several(values)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
                Err(de::Error::invalid_type(de::Unexpected::Map, &self))
            }
        }
        deserializer.deserialize_any(Read(PhantomData))
    }
}

/// Where a value goes in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A field of the job.
    Job,
    /// A field of its `params`.
    Params,
    /// It is a part of another field.
    Elsewhere,
}

macro_rules! axes {
    ($($key:ident: $type:ty => $place:ident),* $(,)?) => {
        /// In the order in which they vary: the first slowest.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(non_camel_case_types, reason = "they are named as in the manifest")]
        pub enum Key { $($key),* }

        impl Key {
            pub fn name(self) -> &'static str {
                match self { $(Self::$key => stringify!($key)),* }
            }

            pub fn place(self) -> Place {
                match self { $(Self::$key => Place::$place),* }
            }
        }

        /// Values of each key that is given.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Axes { $(pub $key: Option<Several<$type>>),* }

        impl Axes {
            /// The keys that are given, in their order.
            pub fn given(&self) -> Vec<(Key, Vec<Value>)> {
                let mut given = Vec::new();
                $(if let Some(Several(values)) = &self.$key {
                    given.push((Key::$key, values.iter().map(json).collect()));
                })*
                given
            }
        }

        /// One configuration that runs again and again.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Baseline {
            /// Points between two of its runs; without it, it runs first and last.
            pub every: Option<u32>,
            $(pub $key: Option<$type>),*
        }

        impl Baseline {
            pub fn axes(&self) -> Axes {
                Axes { $($key: self.$key.clone().map(|value| Several(vec![value]))),* }
            }
        }
    };
}

axes! {
    model: String => Elsewhere,
    quant: String => Elsewhere,
    kind: String => Job,
    prompt: String => Elsewhere,
    data: String => Job,
    n_prompt: u32 => Job,
    n_predict: u32 => Job,
    n_gen: u32 => Job,
    n_depth: u32 => Job,
    n_chunks: u32 => Job,
    n_items: u32 => Job,
    duration_s: f64 => Job,
    runtime: String => Job,
    gpu_layers: u32 => Params,
    threads: u32 => Params,
    power_mode: String => Job,
    governor: String => Job,
    max_freq_khz: u32 => Job,
    n_ctx: u32 => Params,
    n_batch: u32 => Params,
    flash_attn: String => Params,
    kv_type: String => Params,
    mmap: bool => Params,
    repack: bool => Params,
    seed: u32 => Params,
    temperature: f64 => Params,
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("texts, numbers and booleans")
}

/// A value for each key that has one.
pub type Settings = BTreeMap<Key, Value>;

/// A value as it stands in a label.
pub fn plainly(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_value_may_stand_alone_or_in_a_list() {
        let axes: Axes =
            toml::from_str("model = 'a'\nthreads = [1, 2]\nmmap = false\nduration_s = 5").unwrap();
        assert_eq!(
            axes.given(),
            [
                (Key::model, vec![json!("a")]),
                (Key::duration_s, vec![json!(5.0)]),
                (Key::threads, vec![json!(1), json!(2)]),
                (Key::mmap, vec![json!(false)]),
            ]
        );
        for wrong in [
            "threads = 'two'",
            "threads = [1, 'two']",
            "threads = -1",
            "threads = []",
            "threads = {a = 1}",
            "thread = 1",
        ] {
            assert!(toml::from_str::<Axes>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_baseline_is_one_configuration() {
        let baseline: Baseline = toml::from_str("every = 4\nmodel = 'a'\nthreads = 2").unwrap();
        assert_eq!(baseline.every, Some(4));
        let given = baseline.axes().given();
        assert_eq!(given[1], (Key::threads, vec![json!(2)]));
        assert!(toml::from_str::<Baseline>("threads = [1, 2]").is_err());
    }
}
