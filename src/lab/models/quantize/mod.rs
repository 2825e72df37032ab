//! `joulectl models quantize`: the quantisations of a study from one model of floats, each with
//! its hash and where it came from.

mod file_type;
mod quantizer;

use super::draft::{self, Draft};
use super::provenance::{Origin, Provenance, Source};
use super::{background, bar, paste, size};
use crate::clock;
use crate::lab::interrupt::interrupted;
use crate::lab::{LabError, hashed};
use crate::print::harmless;
use crate::runtime::gguf::{GgufError, Header};
use crate::runtime::quantize::Order;
use crate::workload::ModelName;
use file_type::FileType;
use indicatif::ProgressBar;
use quantizer::Quantizer;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use url::Url;

#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// The model, as 16- or 32-bit floats
    #[arg(value_name = "IN.gguf")]
    pub input: PathBuf,
    /// Types to make, separated by commas
    #[arg(long, required = true, value_delimiter = ',', value_name = "TYPE,…")]
    pub to: Vec<FileType>,
    /// Where they go [default: beside IN.gguf]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Threads [default: one for each CPU]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Take a model that is quantised already: its errors are kept, and others added
    #[arg(long)]
    pub allow_requantize: bool,
    /// Only say what would come about, and how large
    #[arg(long)]
    pub dry_run: bool,
    /// The folder that boards will fetch from, for the printed [[catalogue]] blocks
    #[arg(long, value_name = "HTTPS")]
    pub url_base: Option<Url>,
    /// Program with llama.cpp's quantiser [default: jouled-worker as installed, or in PATH]
    #[arg(long, value_name = "FILE")]
    pub worker: Option<PathBuf>,
    /// Print a line of JSON for each model instead of [[catalogue]] blocks
    #[arg(long)]
    pub json: bool,
}

pub async fn run(options: &Options) -> Result<(), LabError> {
    let bar = bar();
    let outcome = tokio::select! {
        biased;
        () = interrupted() => Err(LabError::Interrupted(
            "stopped; nothing is left of the one that was being made".to_owned(),
        )),
        outcome = make_all(options, &bar) => outcome,
    };
    bar.finish_and_clear();
    outcome
}

async fn make_all(options: &Options, bar: &ProgressBar) -> Result<(), LabError> {
    let model = Model::open(&options.input, options.allow_requantize)?;
    let quantizer = Quantizer::find(options.worker.as_deref())?;
    let plans = plan(options, &model, &quantizer).await?;
    for plan in &plans {
        let bytes = size(plan.bytes);
        bar.suspend(|| eprintln!("{:>8}  {bytes}  {}", plan.to.name, plan.place.display()));
    }
    if options.dry_run {
        return Ok(());
    }
    // The bar prints by itself.
    bar.set_message(harmless(&format!("hashing {}", model.name)));
    let source = model.source(bar).await?;
    for plan in &plans {
        let made = make(options, &model, &source, &quantizer, plan, bar).await?;
        if options.json {
            println!(
                "{}",
                serde_json::json!({"path": plan.place, "provenance": made})
            );
        } else {
            let base = options.url_base.as_ref();
            let url =
                base.map(|base| format!("{}/{}", base.as_str().trim_end_matches('/'), made.name));
            bar.suspend(|| println!("{}", paste::block(&made, url.as_deref())));
        }
    }
    Ok(())
}

/// What is quantised.
struct Model {
    path: PathBuf,
    name: String,
    header: Header,
    requantized: bool,
}

impl Model {
    fn open(path: &Path, allow_requantize: bool) -> Result<Self, LabError> {
        let header = Header::open(path).map_err(|error| match error {
            GgufError::Io { .. } => LabError::Usage(error.to_string()),
            _ => LabError::Failed(error.to_string()),
        })?;
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        let quantized = header.tensors.iter().find(|tensor| tensor.kind.block > 1);
        if let Some(tensor) = quantized
            && !allow_requantize
        {
            return Err(LabError::Failed(format!(
                "{name} is quantised already ({}: {} is {}). Made of it, a model would have the \
                 errors of both and be no fair member of a study: take the F16, BF16 or F32 file, \
                 or say --allow-requantize",
                header.quant, tensor.name, tensor.kind.name
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            name,
            requantized: quantized.is_some(),
            header,
        })
    }

    async fn source(&self, bar: &ProgressBar) -> Result<Source, LabError> {
        let (path, shown) = (self.path.clone(), bar.clone());
        let sha256 = background::run(move || hashed::of_file(&path, &shown)).await?;
        let own = Provenance::read(&self.path).unwrap_or_else(|error| {
            bar.suspend(|| eprintln!("{:>8}  {error}", "note"));
            None
        });
        let own = own.filter(|own| own.sha256 == sha256);
        Ok(Source {
            name: self.name.clone(),
            sha256,
            size_bytes: self.header.file_bytes,
            quant: self.header.quant.clone(),
            origin: own.map(|own| own.origin),
        })
    }
}

/// One of the models to make.
struct Plan {
    to: FileType,
    name: ModelName,
    place: PathBuf,
    bytes: u64,
}

/// Names and sizes of all, before anything is written.
async fn plan(
    options: &Options,
    model: &Model,
    quantizer: &Quantizer,
) -> Result<Vec<Plan>, LabError> {
    let folder = match &options.out {
        Some(out) => out.clone(),
        None => model.path.parent().unwrap_or(Path::new("")).to_owned(),
    };
    if !options.dry_run && !folder.as_os_str().is_empty() {
        std::fs::create_dir_all(&folder)
            .map_err(|error| LabError::Failed(format!("{}: {error}", folder.display())))?;
    }
    let mut plans: Vec<Plan> = Vec::new();
    for &to in &options.to {
        if plans.iter().any(|plan| plan.to == to) {
            continue;
        }
        let name = file_type::output_name(&model.name, &model.header.quant, to);
        let name: ModelName = name.parse().map_err(|error| {
            LabError::Usage(format!(
                "boards could not name {name}: {error}; rename {}",
                model.name
            ))
        })?;
        let place = folder.join(name.as_str());
        draft::free(&place)?;
        // One that is something else is not replaced.
        Provenance::read(&place)?;
        let done = quantizer
            .run(&order(options, model, to, None)?, |_| ())
            .await;
        let outcome = done
            .map_err(|error| named(&model.name, to, &error))?
            .outcome;
        if outcome.needs_matrix {
            return Err(LabError::Failed(format!(
                "{} can't be made without an importance matrix, which joulectl does not take: \
                 make it with llama-quantize --imatrix",
                to.name
            )));
        }
        let tensor_bytes = outcome.tensor_bytes.ok_or_else(|| {
            LabError::Failed(format!(
                "llama.cpp does not say how large {name} gets, so that nothing tells whether it fits \
                 on the disk: install jouled and joulectl of one version together"
            ))
        })?;
        plans.push(Plan {
            to,
            name,
            place,
            // Its header is the input's but for some bytes.
            bytes: tensor_bytes.saturating_add(model.header.data_offset),
        });
    }
    let all = plans
        .iter()
        .fold(0, |all: u64, plan| all.saturating_add(plan.bytes));
    if let Some(first) = plans.first()
        && !draft::has_room(&first.place, all)
    {
        let free = draft::free_bytes(&first.place).unwrap_or_default();
        return Err(LabError::Failed(format!(
            "{} are needed in {}, which has {} free; free some, or choose another folder with --out",
            size(all),
            folder.display(),
            size(free)
        )));
    }
    Ok(plans)
}

fn order(
    options: &Options,
    model: &Model,
    to: FileType,
    output: Option<&Path>,
) -> Result<Order, LabError> {
    let text = |path: &Path| {
        let absolute = std::path::absolute(path).ok();
        let text = absolute.and_then(|path| path.to_str().map(str::to_owned));
        text.ok_or_else(|| LabError::Usage(format!("{} is no UTF-8", path.display())))
    };
    let cpus = || std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    Ok(Order {
        input: text(&model.path)?,
        output: output.map(text).transpose()?,
        file_type: to.id,
        threads: options.threads.unwrap_or_else(cpus),
        allow_requantize: options.allow_requantize,
    })
}

fn named(model: &str, to: FileType, error: &LabError) -> LabError {
    LabError::Failed(format!("{model} to {}: {error}", to.name))
}

async fn make(
    options: &Options,
    model: &Model,
    source: &Source,
    quantizer: &Quantizer,
    plan: &Plan,
    bar: &ProgressBar,
) -> Result<Provenance, LabError> {
    let begun = clock::now();
    let failed = |error: &LabError| named(&model.name, plan.to, error);
    let draft = Draft::new(&plan.place)?;
    let order = order(options, model, plan.to, Some(draft.path()))?;
    let mut progress = Progress::new(model, plan.to, bar);
    let done = quantizer.run(&order, |tensor| progress.at(tensor)).await;
    let done = done.map_err(|error| failed(&error))?;

    let header =
        Header::open(draft.path()).map_err(|error| failed(&LabError::Failed(error.to_string())))?;
    bar.set_message(format!("hashing {}", plan.name));
    let (path, shown) = (draft.path().to_owned(), bar.clone());
    let sha256 = background::run(move || hashed::of_file(&path, &shown)).await?;
    let origin = Origin::Quantized {
        from: source.clone(),
        to: plan.to.name,
        engine: done.engine,
        fallback_tensors: done.outcome.fallback_tensors,
        requantized: model.requantized,
    };
    let made =
        Provenance::new(plan.name.as_str(), &sha256, header.file_bytes, &origin).with(&header);
    // First, so that no model is ever without it.
    made.write(&plan.place)?;
    draft.keep()?;
    let seconds = clock::now().since(begun).as_secs_f64();
    let other = match done.outcome.fallback_tensors {
        0 => String::new(),
        n => format!(
            "; {n} of {} tensors have rows that are no whole blocks of it, and got another type",
            header.tensors.len()
        ),
    };
    bar.suspend(|| {
        eprintln!(
            "{:>8}  {} in {seconds:.1} s, SHA-256 {sha256}{other}",
            plan.to.name,
            size(header.file_bytes)
        );
    });
    Ok(made)
}

/// How much of the input is done, by the tensors whose turn has come.
struct Progress<'a> {
    bytes: HashMap<&'a str, u64>,
    /// Of the tensor whose turn it is.
    current: u64,
    bar: &'a ProgressBar,
}

impl<'a> Progress<'a> {
    fn new(model: &'a Model, to: FileType, bar: &'a ProgressBar) -> Self {
        let tensors = model.header.tensors.iter();
        let bytes: HashMap<&str, u64> = tensors
            .map(|tensor| (tensor.name.as_str(), tensor.bytes))
            .collect();
        bar.set_length(bytes.values().sum());
        bar.set_position(0);
        bar.set_message(harmless(&format!("{} to {}", model.name, to.name)));
        Self {
            bytes,
            current: 0,
            bar,
        }
    }

    fn at(&mut self, tensor: &str) {
        self.bar.inc(self.current);
        self.current = self.bytes.get(tensor).copied().unwrap_or(0);
    }
}
