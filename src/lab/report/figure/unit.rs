//! What figures count in.

/// The unit of a figure, and how its numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// With one SI prefix for all values of a column.
    Si(&'static str),
    /// Without a prefix, which would hinder comparing.
    Rate(&'static str),
    /// Without a unit.
    Ratio,
    /// So many of something, in millions.
    Millions(&'static str),
    Bytes,
    Celsius,
}

impl Unit {
    /// The unit without a prefix.
    pub fn base(self) -> &'static str {
        match self {
            Self::Si(unit) | Self::Rate(unit) | Self::Millions(unit) => unit,
            Self::Ratio => "1",
            Self::Bytes => "B",
            Self::Celsius => "°C",
        }
    }

    /// What makes a number in `unit` one in the unit without a prefix; `None` where it is another
    /// quantity's.
    pub fn factor(self, unit: &str) -> Option<f64> {
        let prefixes: &[(&str, f64)] = match self {
            Self::Si(_) => &[("", 1.0), ("k", 1e3), ("m", 1e-3), ("µ", 1e-6), ("u", 1e-6)],
            Self::Bytes => &[
                ("", 1.0),
                ("k", 1e3),
                ("M", 1e6),
                ("G", 1e9),
                ("Ki", 1024.0),
                ("Mi", 1_048_576.0),
                ("Gi", 1_073_741_824.0),
            ],
            Self::Rate(_) | Self::Ratio | Self::Millions(_) | Self::Celsius => &[("", 1.0)],
        };
        let prefix = unit.strip_suffix(self.base())?;
        let known = prefixes.iter().find(|(known, _)| *known == prefix)?;
        Some(known.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_unit_is_converted_or_refused() {
        assert_eq!(Unit::Si("J").factor("mJ"), Some(1e-3));
        assert_eq!(Unit::Si("J").factor("J"), Some(1.0));
        assert_eq!(Unit::Si("J").factor("Wh"), None);
        assert_eq!(Unit::Rate("tok/s").factor("tok/s"), Some(1.0));
        assert_eq!(Unit::Rate("tok/s").factor("ktok/s"), None);
        assert_eq!(Unit::Bytes.factor("MiB"), Some(1_048_576.0));
        assert_eq!(Unit::Ratio.factor("1"), Some(1.0));
    }
}
