//! How parts of an attempt's raw data are written as JSON.

/// Times in order as the first and the steps between them: shorter, and they compress.
pub mod times {
    use crate::units::MonoNs;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(times: &[MonoNs], out: S) -> Result<S::Ok, S::Error> {
        // Whatever a runtime reports comes back: a step that wraps is undone by wrapping.
        let steps = times.iter().scan(0_u64, |before, time| {
            let step = time.0.wrapping_sub(*before) as i64;
            *before = time.0;
            Some(step)
        });
        out.collect_seq(steps)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<MonoNs>, D::Error> {
        let steps = Vec::<i64>::deserialize(input)?;
        let times = steps.into_iter().scan(0_u64, |at, step| {
            *at = at.wrapping_add(step as u64);
            Some(MonoNs(*at))
        });
        Ok(times.collect())
    }
}

/// A map whose keys are no strings, as pairs.
pub mod pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        out.collect_seq(map)
    }

    pub fn deserialize<'de, K, V, D>(input: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'de> + Ord,
        V: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(input)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::measure::observed::TokenTimes;
    use crate::units::MonoNs;

    #[test]
    fn times_come_back_whatever_their_order() {
        let times = TokenTimes {
            t0: MonoNs(7),
            known: [u64::MAX, 0, 1 << 63, 5, 5, 4].map(MonoNs).to_vec(),
        };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(serde_json::from_str::<TokenTimes>(&json).unwrap(), times);
    }

    #[test]
    fn times_in_order_are_written_as_steps() {
        let times = TokenTimes {
            t0: MonoNs(7),
            known: [1_000, 1_020, 1_040].map(MonoNs).to_vec(),
        };
        let json = serde_json::to_string(&times).unwrap();
        assert_eq!(json, r#"{"t0":7,"known":[1000,20,20]}"#);
    }
}
