//! The `[[catalogue]]` block of a model, for the configuration of boards.

use super::provenance::Provenance;

/// With `url` where it is known where boards can fetch it.
pub fn block(model: &Provenance, url: Option<&str>) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let url = match url {
        Some(url) => format!("url = {}", quoted(url)),
        None => "url = \"\"  # fill in: the https:// address that boards fetch it from".to_owned(),
    };
    format!(
        "[[catalogue]]\nname = {}\n{url}\nsha256 = \"{}\"\nsize_bytes = {}\n",
        quoted(&model.name),
        model.sha256,
        model.size_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, ConfigError};
    use crate::lab::models::provenance::Origin;

    fn configured(block: &str) -> Result<usize, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("jouled.toml");
        std::fs::write(&file, block).unwrap();
        config::load(&file, []).map(|config| config.catalogue.len())
    }

    #[test]
    fn a_block_is_taken_by_a_board_once_it_has_an_address() {
        let parts = Vec::new();
        let origin = Origin::Wheels { parts };
        let model = Provenance::new("m-Q4_0.gguf", &"ab".repeat(32), 5, &origin);
        let whole = block(&model, Some("https://models.lab/m-Q4_0.gguf"));
        assert_eq!(configured(&whole).unwrap(), 1, "{whole}");
        let error = configured(&block(&model, None)).unwrap_err().to_string();
        assert!(error.contains("url"), "{error}");
    }
}
