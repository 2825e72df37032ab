//! Command lines of `jouled` and `joulectl` in documents.

use clap::{Command, CommandFactory};
use jouled::cli;

/// The words of each call in a block of shell lines.
pub fn of(block: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in block.replace("\\\n", " ").lines() {
        let Some(words) = split(line) else {
            // A payload over several lines: no line of ours begins with one.
            assert!(
                called(line.split_whitespace().next().unwrap_or("")).is_none(),
                "{line}"
            );
            continue;
        };
        for simple in words.split(|word| ["|", "||", "&&", ";", "&"].contains(&word.as_str())) {
            let is_before = |word: &String| word == "sudo" || word.contains('=');
            let mut call = simple.iter().skip_while(|word| is_before(word));
            let Some(tool) = call.next().and_then(|word| called(word)) else {
                continue;
            };
            let redirection = |word: &&String| word.starts_with(['<', '>']) || *word == "2>&1";
            let mut words = vec![tool.to_owned()];
            words.extend(call.take_while(|word| !redirection(word)).cloned());
            found.push(words);
        }
    }
    found
}

/// The words of a line as a shell has them, without a comment; `None` inside an open quote.
fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(character),
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, '#') if word.is_none() => break,
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            (None, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The tool that a word calls, perhaps by a path.
fn called(word: &str) -> Option<&'static str> {
    let name = word.rsplit('/').next().unwrap_or(word);
    ["jouled", "joulectl"]
        .into_iter()
        .find(|tool| *tool == name)
}

fn command(tool: &str) -> Command {
    match tool {
        "jouled" => cli::jouled::Cli::command(),
        _ => cli::joulectl::Cli::command(),
    }
}

/// What the tool says against a call.
pub fn refused(words: &[String]) -> Option<String> {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
    match command(&words[0]).try_get_matches_from(words) {
        Err(error) if ![DisplayHelp, DisplayVersion].contains(&error.kind()) => {
            Some(format!("{}: {error}", words.join(" ")))
        }
        _ => None,
    }
}

/// What is not there of a command that a text mentions, perhaps in part and with placeholders.
pub fn unknown(code: &str) -> Option<String> {
    let mut words = code.split_whitespace().skip_while(|word| *word == "sudo");
    let tool = words.next().and_then(|word| called(word))?;
    let mut command = command(tool);
    command.build();
    let mut at = &command;
    for word in words {
        if word == "--" {
            break;
        }
        let is_there = if let Some(long) = word.strip_prefix("--") {
            let long = long.split('=').next().unwrap_or(long);
            at.get_arguments()
                .any(|argument| argument.get_long() == Some(long))
        } else if let Some(short) = word.strip_prefix('-') {
            let short = short.chars().next();
            at.get_arguments()
                .any(|argument| argument.get_short() == short)
        } else if at.has_subcommands() && !word.starts_with(|c: char| c.is_uppercase() || c == '…')
        {
            let Some(below) = at.find_subcommand(word) else {
                return Some(format!("`{code}`: there is no command {word}"));
            };
            at = below;
            true
        } else {
            true
        };
        if !is_there {
            return Some(format!("`{code}`: {} has no {word}", at.get_name()));
        }
    }
    None
}
