//! A manual page: what clap knows of a command, or what a document says, and the parts written
//! by hand.

use crate::{markdown, roff};
use clap::Command;
use clap_mangen::Man;

/// The day of the pages' last change of content; a release sets it.
const DATE: &str = "2026-11-22";

/// A tool's page.
pub struct Kind {
    pub section: &'static str,
    /// Heading of the options that several commands share, described once.
    pub shared: Option<&'static str>,
}

/// One page for a tool and all its commands.
pub fn of_command(kind: Kind, mut command: Command, parts: &str) -> String {
    command = command
        .disable_help_subcommand(true)
        .subcommand_value_name("command");
    command.build();
    let tool = command.get_name().to_owned();
    let about = command.get_about().map(ToString::to_string);
    let about = about.unwrap_or_default();
    let mut page = heading(&tool, kind.section, &lower_first(&about));

    let man = Man::new(command.clone());
    page += &written(|out| man.render_synopsis_section(out));
    let (description, rest) = parts
        .split_once(".SH EXIT STATUS")
        .expect("the part has a section EXIT STATUS");
    page += description;
    page += ".SH OPTIONS\n";
    page += &options(&command, &[]).remove(0).1;
    page += ".SH COMMANDS\n";
    let mut shared = None;
    for sub in visible(&command) {
        let known = names(&command);
        section(&mut page, sub, &known, kind.shared, &mut shared);
    }
    if let (Some(heading), Some(body)) = (kind.shared, shared) {
        page += &format!(".SH {} OPTIONS\n{body}", heading.to_uppercase());
    }
    page += ".SH EXIT STATUS";
    page += rest;
    roff::portable(&without_double_breaks(&bold_quotes(&page)))
}

/// A file's page out of a document.
pub fn of_document(name: &str, about: &str, document: &str, parts: &str) -> String {
    let mut page = heading(name, "5", about);
    page += ".SH DESCRIPTION\n";
    page += &markdown::body(document);
    page += parts;
    roff::portable(&page)
}

fn heading(name: &str, section: &str, about: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".\\\" Made by make manual: change the command line, docs/ or man/parts/ instead.\n\
         .TH {} {section} {DATE} \"jouled {version}\" \"jouled\"\n.SH NAME\n{name} \\- {about}\n",
        name.to_uppercase()
    )
}

/// A command and the commands below it.
fn section(
    page: &mut String,
    command: &Command,
    known: &[String],
    shared_heading: Option<&str>,
    shared: &mut Option<String>,
) {
    let mut own = command.clone();
    let usage = own.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    page.push_str(&format!(".SS {usage}\n"));
    let man = Man::new(own);
    let description = written(|out| man.render_description_section(out));
    page.push_str(after_heading(&description));
    for (heading, body) in options(command, known) {
        if Some(heading.as_str()) == shared_heading.map(str::to_uppercase).as_deref() {
            page.push_str(&format!(
                ".PP\nIt takes the {} options below.\n",
                heading.to_lowercase()
            ));
            *shared = Some(body);
            continue;
        }
        if heading != "OPTIONS" {
            page.push_str(&format!(".PP\n{}:\n", capitalised(&heading)));
        }
        page.push_str(&body);
    }
    let mut known = known.to_vec();
    known.extend(names(command));
    for sub in visible(command) {
        section(page, sub, &known, shared_heading, shared);
    }
}

/// Options by their headings, without those described already.
fn options(command: &Command, known: &[String]) -> Vec<(String, String)> {
    let mut own = command.clone();
    for name in known {
        if own
            .get_arguments()
            .any(|argument| argument.get_id() == name)
        {
            own = own.mut_arg(name, |argument| argument.hide(true));
        }
    }
    let man = Man::new(own);
    let text = written(|out| man.render_options_section(out));
    text.split(".SH ")
        .skip(1)
        .map(|block| {
            let (heading, body) = block.split_once('\n').expect("a heading is a line");
            (heading.trim_matches('"').to_owned(), body.to_owned())
        })
        .collect()
}

/// Help texts put names into backquotes.
fn bold_quotes(page: &str) -> String {
    let mut inside = false;
    let mut result = String::new();
    for part in page.split('`') {
        if inside {
            result.push_str(&format!("\\fB{part}\\fR"));
        } else {
            result.push_str(part);
        }
        inside = !inside;
    }
    result
}

/// A break beside the space of a list does nothing, and is warned of.
fn without_double_breaks(page: &str) -> String {
    page.replace(".br\n\n.br\n", ".br\n")
}

fn names(command: &Command) -> Vec<String> {
    let ids = command.get_arguments().map(|argument| argument.get_id());
    let mut names: Vec<String> = ids.map(ToString::to_string).collect();
    names.retain(|name| {
        command
            .get_arguments()
            .any(|a| a.get_id() == name && a.is_global_set())
    });
    names.extend(["help".to_owned(), "version".to_owned()]);
    names
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn written(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut out = Vec::new();
    render(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn after_heading(section: &str) -> &str {
    let (_, body) = section
        .split_once(".SH DESCRIPTION\n")
        .unwrap_or(("", section));
    body
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn capitalised(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let mut characters = lower.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}
