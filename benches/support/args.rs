//! The arguments after `--`, and the models that they choose from.

pub const MODELS: [&str; 2] = [
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "gemma-3-270m-Q4_K_M.gguf",
];

/// What follows `prefix`, such as `rounds=`.
pub fn value(prefix: &str) -> Option<String> {
    std::env::args().find_map(|argument| Some(argument.strip_prefix(prefix)?.to_owned()))
}

/// The models that an argument is a part of the name of; without such arguments, all.
pub fn models() -> Vec<&'static str> {
    let parts: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-') && !argument.contains('='))
        .collect();
    let is_meant = |model: &&str| parts.is_empty() || parts.iter().any(|part| model.contains(part));
    MODELS.into_iter().filter(is_meant).collect()
}
