//! The types that a model can be quantised to, by the names that llama.cpp's users know.

use crate::runtime::gguf;
use std::str::FromStr;

/// A `general.file_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileType {
    pub id: u32,
    pub name: &'static str,
}

/// llama.cpp numbers them below this.
const END: u32 = 64;
/// For mixtures of experts alone, or not made by llama.cpp's quantiser.
const LEFT_OUT: [&str; 2] = ["MXFP4", "NVFP4"];
/// What llama-quantize takes without their ending.
const SHORT: [(&str, &str); 3] = [("Q3_K", "Q3_K_M"), ("Q4_K", "Q4_K_M"), ("Q5_K", "Q5_K_M")];

fn all() -> impl Iterator<Item = FileType> {
    (0..END)
        .filter_map(|id| Some((id, gguf::file_type(id.into())?)))
        .filter(|(_, name)| !LEFT_OUT.contains(name))
        .map(|(id, name)| FileType { id, name })
}

impl FromStr for FileType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_ascii_uppercase();
        let long = SHORT.iter().find(|(short, _)| *short == upper);
        let wanted = long.map_or(upper.as_str(), |(_, long)| long);
        all().find(|kind| kind.name == wanted).ok_or_else(|| {
            let names: Vec<&str> = all().map(|kind| kind.name).collect();
            format!("there is no such type; there are {}", names.join(", "))
        })
    }
}

/// Endings of names that say how a model's numbers are stored.
const FLOATS: [&str; 5] = ["BF16", "F16", "FP16", "F32", "FP32"];

/// `smol-Q4_0.gguf` of `smol-F16.gguf`, `smol.F16.gguf` and `smol.gguf`; `stored` is what the
/// file's header calls its own type.
pub fn output_name(input: &str, stored: &str, to: FileType) -> String {
    let stem = input.strip_suffix(".gguf").unwrap_or(input);
    let is_type = |ending: &str| {
        let named = |name: &&str| name.eq_ignore_ascii_case(ending);
        FLOATS.iter().any(named) || stored.eq_ignore_ascii_case(ending)
    };
    let ending = |separator: char| {
        let (base, ending) = stem.rsplit_once(separator)?;
        (is_type(ending) && !base.is_empty()).then_some((base, separator))
    };
    // Names of types have `_` in them: a base ends before the whole of one.
    let found = ['.', '-']
        .into_iter()
        .find_map(ending)
        .or_else(|| ending('_'));
    let (base, separator) = found.unwrap_or((stem, '-'));
    format!("{base}{separator}{}.gguf", to.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to(name: &str) -> FileType {
        name.parse().unwrap()
    }

    #[test]
    fn types_are_those_of_llama_cpp() {
        assert_eq!(
            to("Q4_K_M"),
            FileType {
                id: 15,
                name: "Q4_K_M"
            }
        );
        assert_eq!(to("q4_k"), to("Q4_K_M"));
        assert_eq!(to(" q8_0").id, 7);
        let error = "Q4_X".parse::<FileType>().unwrap_err();
        assert!(error.contains("Q4_0, Q4_1"), "{error}");
        assert!("NVFP4".parse::<FileType>().is_err());
    }

    #[test]
    fn a_name_says_the_new_type_instead_of_the_old() {
        for (input, stored, output) in [
            ("Qwen2-0.5B.F16.gguf", "F16", "Qwen2-0.5B.Q4_0.gguf"),
            ("Llama-3.2-1B-f16.gguf", "F16", "Llama-3.2-1B-Q4_0.gguf"),
            ("m_bf16.gguf", "BF16", "m_Q4_0.gguf"),
            ("m-fp16.gguf", "F16", "m-Q4_0.gguf"),
            ("smol.gguf", "F16", "smol-Q4_0.gguf"),
            ("smol.Q8_0.gguf", "Q8_0", "smol.Q4_0.gguf"),
            ("F16.gguf", "F16", "F16-Q4_0.gguf"),
            ("Qwen2-0.5B.gguf", "F16", "Qwen2-0.5B-Q4_0.gguf"),
        ] {
            assert_eq!(output_name(input, stored, to("Q4_0")), output);
        }
    }

    proptest! {
        #[test]
        fn every_name_gets_another(input in "[A-Za-z0-9][A-Za-z0-9._-]{0,40}") {
            let output = output_name(&format!("{input}.gguf"), "F16", to("Q4_0"));
            prop_assert!(output.ends_with("Q4_0.gguf"));
            prop_assert!(output.len() > "Q4_0.gguf".len());
        }
    }
}
