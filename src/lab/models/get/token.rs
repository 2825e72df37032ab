//! The token of a Hugging Face account, for models that not everybody may have. It is read where
//! Hugging Face's own tools keep it, goes to the hub alone, and is never shown.

use crate::lab::LabError;
use std::fmt;
use std::path::{Path, PathBuf};
use ureq::http::HeaderValue;

#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// From the given file; else the first of `HF_TOKEN`, the file that `HF_TOKEN_PATH` names,
    /// `$HF_HOME/token` and `~/.cache/huggingface/token`, if there is one.
    pub fn find(given: Option<&Path>) -> Result<Option<Self>, LabError> {
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path)
                .map_err(|error| LabError::Usage(format!("{}: {error}", path.display())))?;
            Self::checked(&text, &path.display().to_string())
        };
        if let Some(path) = given {
            return read(path).map(Some);
        }
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(token) = variable("HF_TOKEN") {
            return Self::checked(&token, "HF_TOKEN").map(Some);
        }
        let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = crate::lab::model::base_directory("XDG_CACHE_HOME", ".cache");
            Some(cache.ok()?.join("huggingface"))
        });
        let path = variable("HF_TOKEN_PATH").map(PathBuf::from);
        let path = path.or_else(|| Some(home?.join("token")));
        path.filter(|path| path.is_file())
            .map(|path| read(&path))
            .transpose()
    }

    fn checked(text: &str, from: &str) -> Result<Self, LabError> {
        let token = text.trim();
        let is_one = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_one
            .then(|| Self(token.to_owned()))
            .ok_or_else(|| LabError::Usage(format!("{from} holds no token")))
    }

    pub fn header(&self) -> HeaderValue {
        let text = format!("Bearer {}", self.0);
        let mut value = HeaderValue::try_from(text).expect("a token has visible ASCII only");
        value.set_sensitive(true);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_from_its_file_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "hf_secret\n").unwrap();
        let token = Token::find(Some(&path)).unwrap().unwrap();
        assert_eq!(token.header(), "Bearer hf_secret");
        assert!(!format!("{token:?} {:?}", token.header()).contains("secret"));
        for none in ["", "two words", "line\nbreak"] {
            std::fs::write(&path, none).unwrap();
            let error = Token::find(Some(&path)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.to_string().contains("words"), "{error}");
        }
        assert!(Token::find(Some(&dir.path().join("absent"))).is_err());
    }
}
