//! The lab side of jouled: sends jobs to boards and shows what they cost.

use clap::Parser;
use jouled::cli::joulectl::{Cli, Command};
use jouled::lab::{
    LabError, collect, compare, demo, explain, export, jobs, models, queue, recompute, report,
    sign, submit, sweep, tune, watch,
};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mark = console::style("joulectl:").for_stderr().red().bold();
            jouled::print::err(format_args!("{mark} {error}\n"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(command: &Command) -> Result<(), LabError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LabError::Failed(format!("no event loop: {error}")))?;
    runtime.block_on(async {
        match command {
            Command::Demo(options) => demo::run(options).await,
            Command::Submit {
                after,
                placement,
                job,
                signing,
                target,
            } => submit::run(target, job, placement, signing, after).await,
            Command::Keygen(options) => sign::keygen(options),
            Command::Jobs { json, target } => jobs::list(target, *json).await,
            Command::Watch { options, target } => watch::run(target, options).await,
            Command::Queue { options, target } => queue::run(target, options).await,
            Command::Recompute(options) => recompute::run(options),
            Command::Export(options) => export::run(options),
            Command::Collect { options, target } => collect::run(target, options).await,
            Command::Compare(options) => compare::run(options),
            Command::Report(options) => report::run(options),
            Command::Sweep {
                options,
                signing,
                target,
            } => sweep::run(target, options, signing).await,
            Command::Explain(options) => explain::run(options),
            Command::Models { action } => models::run(action).await,
            Command::Tune {
                options,
                signing,
                target,
            } => tune::run(target, options, signing).await,
            Command::Cancel { id, json, target } => jobs::cancel(target, id, *json).await,
        }
    })
}
