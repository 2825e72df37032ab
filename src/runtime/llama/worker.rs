//! The worker process: requests from stdin, messages to what was stdout.

use super::Failure;
use super::backends;
use super::bench::Bench;
use super::choice::Choices;
use super::counters::{Meter, Snapshot};
use super::evaluation::{self, Evaluation};
use super::ffi::{self, DecodeError, Engine};
use super::generate::Generate;
use super::log::LoadLog;
use super::output::{Output, Sender, Stamps};
use super::perplexity::Perplexity;
use super::stop::StopFlag;
use super::timeline::Timeline;
use crate::clock;
use crate::runtime::protocol::{
    self, Loaded, LoadedModel, Message, Request, StopReason, Work, WorkerMemory,
};
use crate::runtime::spawn::die_with_parent;
use crate::units::MonoNs;
use crate::workload::{FlashAttn, Params, Phase};
use std::fs::File;
use std::io::{self, BufRead};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender as Queue, channel};

/// The crate that brings llama.cpp; Cargo.toml pins it.
const LLAMA_CRATE: &str = "llama-cpp-sys-2 0.1.161";

/// A request and when it was read.
type Order = (Request, MonoNs);

/// A loaded model and what runs of it need.
struct Session {
    engine: Engine,
    params: Params,
    memory: WorkerMemory,
    stamps: Stamps,
    sender: Sender,
}

/// Runs until the end of stdin.
pub fn run() -> io::Result<()> {
    die_with_parent()?;
    let mut meter = Meter::open();
    let output = Output::new(private_stdout()?);
    let stop = Arc::new(StopFlag::default());
    let backend = match ffi::init(&stop) {
        Ok(backend) => backend,
        Err(failure) => {
            let text = failure.message.clone();
            fail(&output, failure);
            return Err(io::Error::other(text));
        }
    };
    output.send(&Message::Hello {
        protocol: protocol::VERSION,
        pid: std::process::id(),
        name: "llama.cpp".to_owned(),
        revision: revision(),
    });
    let orders = read_requests(&output, &stop)?;
    serve(&output, &stop, &orders, &mut meter);
    drop(backend);
    Ok(())
}

/// Libraries print to stdout; the protocol has a descriptor of its own.
pub(super) fn private_stdout() -> io::Result<File> {
    let private = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(private))
}

/// Reads stdin on a thread of its own, so that `cancel` and its end work at any time.
fn read_requests(output: &Output, stop: &Arc<StopFlag>) -> io::Result<Receiver<Order>> {
    let (queue, orders) = channel();
    let output = output.clone();
    let stop = Arc::clone(stop);
    std::thread::Builder::new()
        .name("requests".to_owned())
        .stack_size(512 * 1024)
        .spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { break };
                take(&line, &output, &stop, &queue);
            }
            // Whatever is computing is of no use to anyone any more.
            ffi::exit_now(0);
        })?;
    Ok(orders)
}

fn take(line: &str, output: &Output, stop: &StopFlag, queue: &Queue<Order>) {
    let received = clock::now();
    match serde_json::from_str(line) {
        Ok(Request::Cancel { reason }) => stop.request(reason),
        Ok(request) => {
            // A cancel belongs to what was asked for before it.
            stop.clear();
            // The other end lives as long as the process.
            let _ = queue.send((request, received));
        }
        Err(error) => fail(
            output,
            Failure::new("protocol", format!("this is no request: {error}")),
        ),
    }
}

fn serve(output: &Output, stop: &Arc<StopFlag>, orders: &Receiver<Order>, meter: &mut Meter) {
    let mut session = None;
    let mut free_since = MonoNs::default();
    for (request, received) in orders {
        let result = match request {
            Request::Load {
                path,
                params,
                n_outputs,
            } if session.is_none() => {
                load(output, stop, Path::new(&path), params, n_outputs, meter)
                    .map(|loaded| session = loaded)
            }
            Request::Load { .. } => Err(Failure::new("protocol", "a model is loaded already")),
            Request::Run {
                work,
                warmup,
                repetitions,
                text,
            } => match &mut session {
                None => Err(Failure::new("protocol", "no model is loaded")),
                Some(session) => {
                    // Sent ahead, it waits without being prepared.
                    let mut timeline = Timeline::new(received.max(free_since), meter);
                    let counts = Counts {
                        warmup,
                        repetitions,
                        text,
                    };
                    session.sender.start();
                    let result = run_work(output, stop, session, work, counts, &mut timeline);
                    session.sender.stop();
                    result
                }
            },
            Request::Cancel { .. } => Ok(()),
        };
        if let Err(failure) = result {
            fail(output, failure);
        }
        free_since = clock::now();
    }
}

fn fail(output: &Output, failure: Failure) {
    output.send(&Message::Error {
        code: failure.code.to_owned(),
        message: failure.message,
    });
}

/// `None`: cancelled.
fn load(
    output: &Output,
    stop: &Arc<StopFlag>,
    path: &Path,
    params: Params,
    n_outputs: u32,
    meter: &mut Meter,
) -> Result<Option<Session>, Failure> {
    let threads = params.threads.unwrap_or_else(available_threads);
    let resident_before = ffi::resident_share(path);
    let (engine, log) = Engine::load(path, &params, n_outputs, threads, stop);
    let t1_ns = clock::now();
    // Since the process began, which is when loading did.
    let counters = meter.read().since(&Snapshot::default());
    let engine = match engine {
        Ok(engine) => engine,
        Err(DecodeError::Stopped) => {
            output.send(&Message::Done {
                stop_reason: stop.requested().unwrap_or(StopReason::Cancelled),
                memory: WorkerMemory::default(),
            });
            return Ok(None);
        }
        // What llama.cpp itself refused, it has told the log.
        Err(DecodeError::Failed(failure)) if failure.code == "load-failed" => {
            let message = format!("{} ({})", failure.message, log.tail());
            return Err(Failure { message, ..failure });
        }
        Err(DecodeError::Failed(failure)) => return Err(failure),
    };
    let memory = log.memory();
    let (stamps, sender) = output
        .start_tokens(engine.n_ctx() as usize)
        .map_err(|error| {
            Failure::new("load-failed", format!("no thread can be started: {error}"))
        })?;
    output.send(&Message::Load(Box::new(Loaded {
        t1_ns,
        engine: describe_engine(&engine, &params, threads, &log),
        model: LoadedModel {
            arch: engine.architecture(),
            description: engine.description(),
            params: engine.params(),
            size_bytes: engine.size_bytes(),
            n_ctx_train: engine.n_ctx_train(),
            n_layer: engine.n_layer(),
        },
        resident_before,
        memory,
        counters,
        hardware_counters: Some(meter.hardware()),
    })));
    Ok(Some(Session {
        engine,
        params,
        memory,
        stamps,
        sender,
    }))
}

fn describe_engine(
    engine: &Engine,
    params: &Params,
    threads: u32,
    log: &LoadLog,
) -> protocol::Engine {
    let mut devices = vec!["cpu".to_owned()];
    if params.gpu_layers > 0 {
        let others = llama_cpp_2::list_llama_ggml_backend_devices();
        devices.extend(
            others
                .into_iter()
                .filter(|device| device.backend != "CPU")
                .map(|device| device.name),
        );
    }
    protocol::Engine {
        name: "llama.cpp".to_owned(),
        revision: revision(),
        cpu_features: cpu_features(&ffi::system_info()),
        cpu_variant: backends::cpu_variant(),
        threads,
        threads_batch: Some(threads),
        n_ctx: engine.n_ctx(),
        n_batch: engine.n_batch(),
        n_ubatch: engine.n_ubatch(),
        flash_attn: log.flash_attn().or(match params.flash_attn {
            FlashAttn::On => Some(true),
            FlashAttn::Off => Some(false),
            FlashAttn::Auto => None,
        }),
        sampler: if params.temperature > 0.0 {
            format!("temperature {}, seed {}", params.temperature, params.seed)
        } else {
            "greedy".to_owned()
        },
        layers_offloaded: log.layers_offloaded(),
        devices,
    }
}

pub(super) fn revision() -> String {
    format!("{} ({LLAMA_CRATE})", ffi::version())
}

/// The names that are on in "CPU : SSE3 = 1 | AVX = 1 | ...".
fn cpu_features(system_info: &str) -> Vec<String> {
    system_info
        .split('|')
        .filter_map(|entry| {
            let (name, value) = entry.rsplit(':').next()?.split_once('=')?;
            (value.trim() != "0").then(|| name.trim().to_owned())
        })
        .collect()
}

/// One for each CPU that this process may use.
fn available_threads() -> u32 {
    std::thread::available_parallelism().map_or(1, |threads| threads.get() as u32)
}

#[derive(Debug, Clone, Copy)]
struct Counts {
    warmup: u32,
    repetitions: u32,
    text: bool,
}

fn run_work(
    output: &Output,
    stop: &StopFlag,
    session: &mut Session,
    work: Work,
    counts: Counts,
    timeline: &mut Timeline,
) -> Result<(), Failure> {
    let generates = matches!(work, Work::Generate { .. });
    if session.engine.decoder_start().is_some() && !generates {
        return Err(Failure::new(
            "encoder-decoder",
            "an encoder-decoder model such as this one can only generate here; the other kinds of jobs are defined for models that go on with a text",
        ));
    }
    let stop_reason = match work {
        Work::Generate {
            prompt,
            messages,
            n_predict,
            ignore_eos,
        } => {
            let generate = Generate {
                prompt,
                messages,
                n_predict: n_predict.max(1),
                ignore_eos,
            };
            run_generate(output, stop, session, &generate, counts, timeline)?
        }
        Work::Bench(sizes) => {
            let mut bench = Bench::new(&sizes, &session.engine, session.params.seed)?;
            run_bench(output, stop, session, &mut bench, counts, timeline)?
        }
        Work::Perplexity {
            data,
            data_sha256,
            n_ctx,
            n_chunks,
        } => {
            let engine = &session.engine;
            let mut text = Perplexity::new(engine, &data, &data_sha256, n_ctx, n_chunks)?;
            run_evaluation(output, stop, session, &mut text, counts, timeline)?
        }
        Work::Choice {
            data,
            data_sha256,
            n_items,
        } => {
            let mut items = Choices::new(&session.engine, &data, &data_sha256, n_items)?;
            run_evaluation(output, stop, session, &mut items, counts, timeline)?
        }
    };
    output.send(&Message::Done {
        stop_reason,
        memory: session.memory,
    });
    Ok(())
}

fn run_generate(
    output: &Output,
    stop: &StopFlag,
    session: &mut Session,
    generate: &Generate,
    counts: Counts,
    timeline: &mut Timeline,
) -> Result<StopReason, Failure> {
    let Session {
        engine,
        params,
        stamps,
        ..
    } = session;
    for _ in 0..counts.warmup {
        timeline.end_as_one(Phase::Warmup, |timeline| {
            generate.repetition(engine, params, stop, timeline, |_, _| {})
        })?;
        if let Some(reason) = stop.requested() {
            report(output, timeline);
            return Ok(reason);
        }
    }
    report_warmup(output, counts, timeline);
    let mut last = StopReason::Length;
    for rep in 1..=counts.repetitions {
        stamps.begin(rep, timeline.begin(rep));
        let note = |token, at| stamps.note(token, at);
        let generated = generate.repetition(engine, params, stop, timeline, note)?;
        report(output, timeline);
        output.send(&Message::Rep(generated.report(rep, engine, counts.text)));
        last = generated.stop_reason;
        if let Some(reason) = stop.requested() {
            return Ok(reason);
        }
    }
    Ok(last)
}

fn run_bench(
    output: &Output,
    stop: &StopFlag,
    session: &mut Session,
    bench: &mut Bench,
    counts: Counts,
    timeline: &mut Timeline,
) -> Result<StopReason, Failure> {
    let Session { engine, stamps, .. } = session;
    for _ in 0..counts.warmup {
        match bench.warm_up(engine) {
            Ok(()) | Err(DecodeError::Stopped) => timeline.end_now(Phase::Warmup, 0),
            Err(DecodeError::Failed(failure)) => return Err(failure),
        }
        if let Some(reason) = stop.requested() {
            report(output, timeline);
            return Ok(reason);
        }
    }
    report_warmup(output, counts, timeline);
    for rep in 1..=counts.repetitions {
        stamps.begin(rep, timeline.begin(rep));
        let note = |token, at| stamps.note(token, at);
        let benched = bench.repetition(engine, stop, timeline, note)?;
        report(output, timeline);
        output.send(&Message::Rep(benched.report(rep)));
        if let Some(reason) = stop.requested() {
            return Ok(reason);
        }
    }
    Ok(StopReason::Length)
}

fn run_evaluation(
    output: &Output,
    stop: &StopFlag,
    session: &mut Session,
    evaluation: &mut dyn Evaluation,
    counts: Counts,
    timeline: &mut Timeline,
) -> Result<StopReason, Failure> {
    let engine = &mut session.engine;
    for _ in 0..counts.warmup {
        match evaluation.warm_up(engine) {
            Ok(()) | Err(DecodeError::Stopped) => timeline.end_now(Phase::Warmup, 0),
            Err(DecodeError::Failed(failure)) => return Err(failure),
        }
        if let Some(reason) = stop.requested() {
            report(output, timeline);
            return Ok(reason);
        }
    }
    report_warmup(output, counts, timeline);
    for rep in 1..=counts.repetitions {
        timeline.begin(rep);
        let done = evaluation::repetition(evaluation, engine, stop, timeline, rep)?;
        report(output, timeline);
        output.send(&Message::Rep(done));
        if let Some(reason) = stop.requested() {
            return Ok(reason);
        }
    }
    Ok(StopReason::Length)
}

/// Tells at once that the worker is warm: what the board is like then is where the first
/// repetition starts from.
fn report_warmup(output: &Output, counts: Counts, timeline: &mut Timeline) {
    if counts.warmup > 0 {
        report(output, timeline);
        timeline.end_now(Phase::Other, 0);
    }
}

/// Between measured phases: the token times that are left, then the phases.
fn report(output: &Output, timeline: &mut Timeline) {
    output.flush_tokens();
    for phase in timeline.take() {
        output.send(&phase);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_names_the_pinned_crate() {
        let (name, version) = LLAMA_CRATE.split_once(' ').unwrap();
        let pin = format!("{name} = {{ version = \"={version}\"");
        assert!(include_str!("../../../Cargo.toml").contains(&pin), "{pin}");
    }

    #[test]
    fn cpu_features_are_those_that_are_on() {
        let info = "CPU : SSE3 = 1 | AVX512 = 0 | LLAMAFILE = 1 | OPENMP = 1 | ";
        assert_eq!(cpu_features(info), ["SSE3", "LLAMAFILE", "OPENMP"]);
    }
}
