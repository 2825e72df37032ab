//! Text for man's macros.

/// In bold: names to be typed as they stand.
pub fn code(text: &str) -> String {
    // A hyphen in a command must stay one when it is copied out of the page.
    format!("\\fB{}\\fR", escaped(text).replace('-', "\\-"))
}

/// With what the formatter would take for its own made harmless.
pub fn escaped(text: &str) -> String {
    text.replace('\\', "\\e")
}

/// A page that every formatter reads the same way, whatever the locale: characters outside of
/// ASCII by their numbers, and no line that begins with a control character by accident.
pub fn portable(page: &str) -> String {
    let mut result = String::new();
    for character in page.chars() {
        if character.is_ascii() {
            result.push(character);
        } else {
            result.push_str(&format!("\\[u{:04X}]", u32::from(character)));
        }
    }
    result
}

/// A line of text that may begin with anything.
pub fn line(text: &str) -> String {
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}\n")
    } else {
        format!("{text}\n")
    }
}

/// An example, line by line, indented.
pub fn example(text: &str) -> String {
    let lines: String = text
        .lines()
        .map(|one| line(&escaped(one).replace('-', "\\-")))
        .collect();
    format!(".RS 4\n.EX\n{lines}.EE\n.RE\n")
}
