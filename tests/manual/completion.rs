//! Completions for a shell.

use clap::Command;
use clap_complete::Shell;

/// The file's name and its content.
pub fn of(shell: Shell, tool: &str, command: &Command) -> (String, String) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(command), tool, &mut script);
    let name = match shell {
        Shell::Zsh => format!("_{tool}"),
        Shell::Fish => format!("{tool}.fish"),
        _ => format!("{tool}.bash"),
    };
    (name, String::from_utf8(script).unwrap())
}

/// The generators of completions show what the help hides.
fn without_hidden(command: &Command) -> Command {
    let visible = command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(without_hidden);
    // clap's names live as long as the program.
    let name: &'static str = command.get_name().to_owned().leak();
    Command::new(name)
        .version(env!("CARGO_PKG_VERSION"))
        .about(command.get_about().cloned().unwrap_or_default())
        .args(command.get_arguments())
        .subcommands(visible)
}
