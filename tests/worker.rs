//! What the daemon does with a worker: load, run, cancel, kill. On a tiny random model.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "llama")]

#[path = "support/tiny_gguf.rs"]
mod tiny_gguf;
#[path = "support/tiny_t5.rs"]
#[allow(dead_code, reason = "others use the rest")]
mod tiny_t5;

use jouled::runtime::gguf::preflight;
use jouled::runtime::protocol::{
    HardwareCounters, Loaded, Message, PhaseCounters, RepDone, Request, StopReason, Work,
};
use jouled::runtime::supervisor::{Exit, Worker, WorkerError, WorkerLimits};
use jouled::units::MonoNs;
use jouled::workload::{BenchSizes, FlashAttn, Message as ChatMessage, Params, Phase};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tiny_gguf::Damage;
use tiny_t5::TinyT5;

/// Far longer than anything here takes, so that only a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(120);

struct Model {
    _dir: TempDir,
    path: PathBuf,
}

fn model(damage: Damage) -> Model {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    tiny_gguf::write(&path, damage).unwrap();
    Model { _dir: dir, path }
}

fn encoder_decoder() -> Model {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny-t5.gguf");
    TinyT5::default().write(&path).unwrap();
    Model { _dir: dir, path }
}

fn command() -> Vec<String> {
    vec![env!("CARGO_BIN_EXE_jouled-worker").to_owned()]
}

fn params() -> Params {
    Params {
        // More would wait for each other on a loaded machine.
        threads: Some(1),
        ..Params::default()
    }
}

fn started() -> Worker {
    let mut worker = Worker::spawn(&command(), &WorkerLimits::default()).unwrap();
    let hello = next(&mut worker);
    assert!(
        matches!(&hello, Message::Hello { pid, name, .. } if *pid == worker.pid() && name == "llama.cpp"),
        "{hello:?}"
    );
    worker
}

fn next(worker: &mut Worker) -> Message {
    worker
        .recv(PATIENCE)
        .expect("the worker is well")
        .expect("the worker says something")
}

fn loaded(model: &Model, params: Params) -> (Worker, Loaded) {
    let mut worker = started();
    load(&mut worker, model, params);
    match next(&mut worker) {
        Message::Load(loaded) => (worker, *loaded),
        other => panic!("no load: {other:?}"),
    }
}

fn load(worker: &mut Worker, model: &Model, params: Params) {
    worker.send(&Request::Load {
        path: model.path.to_str().unwrap().to_owned(),
        params,
        n_outputs: 1,
    });
}

fn generate(n_predict: u32) -> Work {
    generate_from("Why is the sky blue?", n_predict)
}

fn generate_from(prompt: &str, n_predict: u32) -> Work {
    Work::Generate {
        prompt: Some(prompt.to_owned()),
        messages: None,
        n_predict,
        ignore_eos: true,
    }
}

fn run_request(work: Work, warmup: u32, repetitions: u32) -> Request {
    Request::Run {
        work,
        warmup,
        repetitions,
        text: true,
    }
}

/// Everything that a run said.
#[derive(Debug, Default)]
struct Run {
    phases: Vec<(Phase, Option<u32>, MonoNs, MonoNs, u32)>,
    /// Of the phases, in the same order.
    counters: Vec<PhaseCounters>,
    tokens: Vec<(u32, u32, MonoNs)>,
    reps: Vec<RepDone>,
    end: Option<StopReason>,
    error: Option<(String, String)>,
}

impl Run {
    fn phases_of(&self, rep: Option<u32>) -> Vec<Phase> {
        self.phases
            .iter()
            .filter(|phase| phase.1 == rep)
            .map(|phase| phase.0)
            .collect()
    }

    fn times_of(&self, rep: u32) -> Vec<(u32, MonoNs)> {
        self.tokens
            .iter()
            .filter(|token| token.0 == rep)
            .map(|&(_, index, time)| (index, time))
            .collect()
    }
}

fn run(worker: &mut Worker, request: &Request) -> Run {
    worker.send(request);
    let mut run = Run::default();
    while run.end.is_none() && run.error.is_none() {
        take(next(worker), &mut run);
    }
    run
}

fn take(message: Message, run: &mut Run) {
    match message {
        Message::Phase {
            phase,
            rep,
            t0_ns,
            t1_ns,
            tokens,
            counters,
        } => {
            run.phases.push((phase, rep, t0_ns, t1_ns, tokens));
            run.counters.push(counters);
        }
        Message::Tokens {
            rep, first, t_ns, ..
        } => {
            let indexed = t_ns.into_iter().zip(first..);
            run.tokens
                .extend(indexed.map(|(time, index)| (rep, index, time)));
        }
        Message::Rep(rep) => run.reps.push(rep),
        Message::Done { stop_reason, .. } => run.end = Some(stop_reason),
        Message::Error { code, message } => run.error = Some((code, message)),
        other => panic!("not part of a run: {other:?}"),
    }
}

#[test]
fn generate_tells_the_time_of_every_token() {
    let model = model(Damage::None);
    let (mut worker, loaded) = loaded(&model, params());
    assert_eq!(loaded.model.arch, "llama");
    assert_eq!(loaded.model.n_layer, tiny_gguf::BLOCKS);
    assert_eq!(loaded.engine.threads, 1);
    assert!(!loaded.engine.cpu_features.is_empty());
    assert!(loaded.memory.kv_bytes.is_some_and(|bytes| bytes > 0));
    assert!(loaded.memory.compute_bytes.is_some());
    assert!(loaded.resident_before.is_some_and(|share| share <= 1.0));

    let run = run(&mut worker, &run_request(generate(20), 1, 2));
    assert_eq!(run.end, Some(StopReason::Length));
    // The reporting after the warm-up and between the repetitions belongs to none of them.
    assert_eq!(
        run.phases_of(None),
        [Phase::Warmup, Phase::Other, Phase::Other]
    );
    assert_eq!(
        run.phases_of(Some(1)),
        [Phase::Prepare, Phase::Prefill, Phase::Decode]
    );
    assert_eq!(
        run.phases_of(Some(2)),
        [Phase::Prepare, Phase::Prefill, Phase::Decode]
    );
    for pair in run.phases.windows(2) {
        assert_eq!(pair[0].3, pair[1].2, "a gap in {:?}", run.phases);
    }
    for rep in [1, 2] {
        let times = run.times_of(rep);
        let indices: Vec<u32> = times.iter().map(|&(index, _)| index).collect();
        assert_eq!(indices, (0..20).collect::<Vec<_>>());
        assert!(times.is_sorted_by_key(|&(_, time)| time));
        let bounds = |wanted| {
            run.phases
                .iter()
                .find(|phase| phase.0 == wanted && phase.1 == Some(rep))
                .map(|phase| (phase.2, phase.3, phase.4))
                .unwrap()
        };
        let (_, prefill_end, prompt_tokens) = bounds(Phase::Prefill);
        let (decode_begin, decode_end, decode_tokens) = bounds(Phase::Decode);
        assert_eq!((times[0].1, times[0].1), (prefill_end, decode_begin));
        assert_eq!(times[19].1, decode_end);
        assert_eq!(decode_tokens, 19);
        assert_eq!(prompt_tokens, run.reps[rep as usize - 1].prompt_tokens);
    }
    // One for each byte of the prompt, and the beginning of the sequence.
    assert_eq!(run.reps[0].prompt_tokens, 21);
    assert_eq!(run.reps[0].output_tokens, 20);
    assert_eq!(run.reps[0].output_sha256, run.reps[1].output_sha256);
    assert!(run.reps[0].text.is_some());
}

/// What a kernel keeps account of, a worker reports for each phase.
#[test]
fn each_phase_has_its_counters() {
    let model = model(Damage::None);
    let (mut worker, loaded) = loaded(&model, params());
    let accounted = std::fs::exists("/proc/self/io").unwrap();
    let whole = |counters: &PhaseCounters, what: &str| {
        assert!(counters.major_faults.is_some(), "{what}");
        assert_eq!(counters.read_bytes.is_some(), accounted, "{what}");
        let counting = loaded.hardware_counters == Some(HardwareCounters::Counting);
        assert_eq!(counters.hardware.is_some(), counting, "{what}");
    };
    assert!(loaded.hardware_counters.is_some());
    whole(&loaded.counters, "load");

    let run = run(&mut worker, &run_request(generate(20), 1, 1));
    // Warm-up and its report, then the three of the repetition.
    assert_eq!(run.phases.len(), 5);
    for (phase, counters) in run.phases.iter().zip(&run.counters) {
        whole(counters, &format!("{phase:?}"));
    }
    let all = run
        .counters
        .into_iter()
        .reduce(PhaseCounters::plus)
        .unwrap();
    let used = worker.usage().unwrap();
    let since_start = loaded.counters.plus(all);
    // The kernel's own account of the process, read later: nothing is counted twice.
    assert!(since_start.major_faults.unwrap() <= used.major_faults);
    assert!(since_start.read_bytes <= used.read_bytes);
    if let Some(hardware) = all.hardware {
        assert!(hardware.instructions.is_none_or(|count| count > 0));
    }
}

#[test]
fn a_cold_load_reads_the_file_from_the_disk() {
    let model = model(Damage::None);
    let file = std::fs::File::open(&model.path).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let (_, loaded) = loaded(&model, params());
    // A file system in memory keeps its pages, and some say nothing about them.
    let cold = loaded.resident_before.is_some_and(|share| share == 0.0);
    if let Some(bytes) = loaded.counters.read_bytes.filter(|_| cold) {
        let length = file.metadata().unwrap().len();
        assert!(bytes >= length, "{bytes} of {length}");
    }
}

#[test]
fn buffers_are_told_apart_by_what_they_hold() {
    let model = model(Damage::None);
    std::fs::write(&model.path, tiny_gguf::quantised_bytes()).unwrap();
    let header = preflight(&model.path, &Params::default(), 1, None)
        .unwrap()
        .header;
    let weights: u64 = header.tensors.iter().map(|tensor| tensor.bytes).sum();
    for (mmap, repack) in [(true, true), (true, false), (false, true), (false, false)] {
        let params = Params {
            mmap,
            repack,
            ..params()
        };
        let (mut worker, loaded) = loaded(&model, params);
        let memory = loaded.memory;
        let rearranged = memory.repack_bytes.unwrap();
        if !repack {
            assert_eq!(rearranged, 0);
        } else if cfg!(target_arch = "x86_64") {
            // The matrices of the blocks: the other two have no multiple of eight rows.
            assert!(rearranged > 30_000, "{rearranged}");
        }
        // What is rearranged out of a mapping is there twice.
        let expected = weights + if mmap { rearranged } else { 0 };
        let told = memory.model_bytes.unwrap();
        // Printed to 0.01 MiB, and alignment comes on top.
        assert!(
            told.abs_diff(expected) < 32 << 10,
            "{told} of {expected}, {mmap} {repack}"
        );
        assert_eq!(memory.device_bytes, Some(0));
        assert_eq!(loaded.engine.layers_offloaded, 0);
        let run = run(&mut worker, &run_request(generate(3), 0, 1));
        assert_eq!(run.end, Some(StopReason::Length));
    }
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let model = model(Damage::None);
    let output = |seed| {
        let params = Params {
            seed,
            temperature: 1.0,
            ..params()
        };
        let (mut worker, _) = loaded(&model, params);
        let run = run(&mut worker, &run_request(generate(30), 0, 2));
        assert_eq!(run.reps[0].output_sha256, run.reps[1].output_sha256);
        run.reps[0].output_sha256.clone()
    };
    assert_eq!(output(1), output(1));
    assert_ne!(output(1), output(2));
}

#[test]
fn a_conversation_goes_through_the_models_own_template() {
    let model = model(Damage::None);
    let (mut worker, _) = loaded(&model, params());
    let mut talk = |role: &str| {
        let work = Work::Generate {
            prompt: None,
            messages: Some(vec![ChatMessage {
                role: role.to_owned(),
                content: "Why?".to_owned(),
            }]),
            n_predict: 2,
            ignore_eos: true,
        };
        run(&mut worker, &run_request(work, 0, 1))
    };
    // <s> <|im_start|> u s e r \n W h y ? <|im_end|> \n <|im_start|> a s s i s t a n t \n
    assert_eq!(talk("user").reps[0].prompt_tokens, 24);
    let (code, message) = talk("forbidden").error.unwrap();
    assert_eq!(code, "template");
    assert!(message.contains("this role is forbidden"), "{message}");
}

#[test]
fn bench_has_prefill_and_decode_at_a_depth() {
    let model = model(Damage::None);
    let (mut worker, _) = loaded(&model, params());
    let mut bench = |n_prompt, n_gen, n_depth| {
        let sizes = BenchSizes {
            n_prompt,
            n_gen,
            n_depth,
        };
        run(&mut worker, &run_request(Work::Bench(sizes), 1, 1))
    };
    let both = bench(600, 10, 32);
    assert_eq!(both.phases_of(None), [Phase::Warmup, Phase::Other]);
    assert_eq!(
        both.phases_of(Some(1)),
        [
            Phase::Prepare,
            Phase::Depth,
            Phase::Prefill,
            Phase::Other,
            Phase::Depth,
            Phase::Decode
        ]
    );
    for pair in both.phases.windows(2) {
        assert_eq!(pair[0].3, pair[1].2, "a gap in {:?}", both.phases);
    }
    let indices: Vec<u32> = both.times_of(1).iter().map(|&(index, _)| index).collect();
    // Element 0 is the start of decode.
    assert_eq!(indices, (0..=10).collect::<Vec<_>>());
    assert_eq!(
        (both.reps[0].prompt_tokens, both.reps[0].output_tokens),
        (600, 10)
    );
    assert_eq!(
        bench(16, 0, 0).phases_of(Some(1)),
        [Phase::Prepare, Phase::Prefill]
    );
    assert_eq!(
        bench(0, 4, 0).phases_of(Some(1)),
        [Phase::Prepare, Phase::Decode]
    );
    assert_eq!(bench(2_000, 4, 100).error.unwrap().0, "context");
    let whole_context = params().n_ctx;
    assert_eq!(bench(whole_context, 4, 0).end, Some(StopReason::Length));
}

/// What an encoder made of one prompt stays in the context until it reads the next.
#[test]
fn an_encoder_reads_each_prompt_anew() {
    let model = encoder_decoder();
    let (mut worker, loaded) = loaded(&model, params());
    assert_eq!(loaded.model.arch, "t5");
    let long = "translate the answer to a wonderful house, ".repeat(8);
    let mut written = Vec::new();
    for (prompt, count) in [("the sky", 24), (long.as_str(), 9), ("the sky", 24)] {
        let run = run(
            &mut worker,
            &run_request(generate_from(prompt, count), 1, 2),
        );
        assert_eq!(run.end, Some(StopReason::Length));
        assert_eq!(
            run.phases_of(Some(2)),
            [Phase::Prepare, Phase::Prefill, Phase::Decode]
        );
        let [first, second] = &run.reps[..] else {
            panic!("two repetitions: {run:?}")
        };
        assert_eq!(first.output_sha256, second.output_sha256);
        assert_eq!(first.output_tokens, count);
        let indices: Vec<u32> = run.times_of(2).iter().map(|&(index, _)| index).collect();
        assert_eq!(indices, (0..count).collect::<Vec<_>>());
        written.push((first.prompt_tokens, first.output_sha256.clone()));
    }
    assert_eq!(written[0], written[2]);
    // "▁the", "▁sky" and the end.
    assert_eq!(written[0].0, 3);
    let fresh = |prompt: &str, count| {
        let (mut worker, _) = self::loaded(&model, params());
        let run = run(
            &mut worker,
            &run_request(generate_from(prompt, count), 0, 1),
        );
        (run.reps[0].prompt_tokens, run.reps[0].output_sha256.clone())
    };
    assert_eq!(written[0], fresh("the sky", 24));
    assert_eq!(written[1], fresh(&long, 9));
}

#[test]
fn an_encoder_has_the_batch_and_its_decoder_the_context() {
    let model = encoder_decoder();
    let params = Params {
        n_batch: 64,
        n_ctx: 256,
        ..params()
    };
    let (mut worker, loaded) = loaded(&model, params);
    assert_eq!((loaded.engine.n_ctx, loaded.engine.n_ubatch), (256, 64));
    let mut write = |words: usize, count| {
        let work = generate_from(&"the ".repeat(words), count);
        run(&mut worker, &run_request(work, 0, 1))
    };
    // The end is one more token of the prompt.
    let (code, message) = write(64, 4).error.unwrap();
    assert_eq!(code, "prompt-too-long");
    assert!(
        message.contains("65 tokens don't fit into n_batch 64"),
        "{message}"
    );
    assert_eq!(write(63, 257).error.unwrap().0, "context");
    let full = write(63, 256);
    assert_eq!(full.end, Some(StopReason::Length), "{:?}", full.error);
    assert_eq!(full.reps[0].prompt_tokens, 64);
    assert_eq!(full.reps[0].output_tokens, 256);
}

/// A tokenizer that rewrites the text first may make more tokens of it than it has bytes.
#[test]
fn a_text_may_have_more_tokens_than_bytes() {
    let (mut worker, _) = loaded(&encoder_decoder(), params());
    let run = run(&mut worker, &run_request(generate_from("ZZZZZ", 2), 0, 1));
    let reps = &run.reps;
    // A space before it, and the end.
    let expected = 5 * tiny_t5::MANY as u32 + 2;
    assert_eq!(reps[0].prompt_tokens, expected, "{:?}", run.error);
}

#[test]
fn an_encoder_decoder_model_only_generates() {
    let (mut worker, _) = loaded(&encoder_decoder(), params());
    let sizes = BenchSizes {
        n_prompt: 16,
        n_gen: 4,
        n_depth: 0,
    };
    let choice = Work::Choice {
        data: "no such file".to_owned(),
        data_sha256: String::new(),
        n_items: None,
    };
    for work in [Work::Bench(sizes), choice] {
        let refused = run(&mut worker, &run_request(work, 0, 1));
        assert_eq!(refused.error.unwrap().0, "encoder-decoder");
    }
    // And the worker is as good as before.
    let fine = run(&mut worker, &run_request(generate(3), 0, 1));
    assert_eq!(fine.end, Some(StopReason::Length));
}

#[test]
fn a_decoder_with_an_encoder_can_be_cancelled() {
    let (mut worker, _) = loaded(&encoder_decoder(), params());
    worker.send(&run_request(generate(2_000), 0, 100));
    let mut run = Run::default();
    while run.tokens.is_empty() {
        take(next(&mut worker), &mut run);
    }
    worker.send(&Request::Cancel {
        reason: StopReason::Cancelled,
    });
    while run.end.is_none() {
        take(next(&mut worker), &mut run);
    }
    assert_eq!(run.end, Some(StopReason::Cancelled));
    let again = self::run(&mut worker, &run_request(generate(3), 0, 1));
    assert_eq!(again.end, Some(StopReason::Length));
}

/// The estimate that refuses what would not fit is from above.
#[test]
fn an_encoder_decoder_takes_no_more_than_estimated() {
    let model = encoder_decoder();
    for (n_ctx, n_batch) in [(256, 256), (4_096, 2_048)] {
        for flash_attn in [FlashAttn::Off, FlashAttn::Auto] {
            let params = Params {
                n_ctx,
                n_batch,
                flash_attn,
                ..params()
            };
            let estimate = preflight(&model.path, &params, 1, None).unwrap().estimate;
            let (_worker, loaded) = loaded(&model, params);
            let told = loaded.memory;
            // Told to 0.01 MiB.
            assert!(told.kv_bytes.unwrap().abs_diff(estimate.kv_bytes) < 11_000);
            let computes = told.compute_bytes.unwrap();
            assert!(
                computes <= estimate.compute_bytes,
                "{computes} of {estimate:?}"
            );
        }
    }
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_before_it_runs() {
    let model = model(Damage::None);
    let (mut worker, loaded) = loaded(&model, params());
    let exact = loaded.engine.n_ctx - 21 + 1;
    let refused = run(&mut worker, &run_request(generate(exact + 1), 0, 1));
    let (code, message) = refused.error.unwrap();
    assert_eq!(code, "prompt-too-long");
    assert!(message.contains("prompt too long"), "{message}");
    // The worker is as good as before, up to the last token that fits.
    let fits = run(&mut worker, &run_request(generate(exact), 0, 1));
    assert_eq!(fits.reps[0].output_tokens, exact);
}

#[test]
fn cancelling_in_mid_decode_ends_the_run() {
    let model = model(Damage::None);
    let params = Params {
        n_ctx: 32_768,
        ..params()
    };
    let (mut worker, _) = loaded(&model, params);
    worker.send(&run_request(generate(30_000), 0, 100));
    let mut run = Run::default();
    while run.tokens.is_empty() {
        take(next(&mut worker), &mut run);
    }
    worker.send(&Request::Cancel {
        reason: StopReason::Cancelled,
    });
    while run.end.is_none() {
        take(next(&mut worker), &mut run);
    }
    assert_eq!(run.end, Some(StopReason::Cancelled));
    let last = run.reps.last().unwrap();
    assert_eq!(last.stop_reason, StopReason::Cancelled);
    assert_eq!(last.output_tokens as usize, run.times_of(last.rep).len());
    for pair in run.phases.windows(2) {
        assert_eq!(pair[0].3, pair[1].2, "a gap in {:?}", run.phases);
    }
    // It can run again, and the cancel is forgotten.
    let again = self::run(&mut worker, &run_request(generate(3), 0, 1));
    assert_eq!(again.end, Some(StopReason::Length));
}

#[test]
fn a_killed_worker_is_reported_with_the_signal() {
    let model = model(Damage::None);
    let params = Params {
        n_ctx: 32_768,
        ..params()
    };
    let (mut worker, _) = loaded(&model, params);
    worker.send(&run_request(generate(30_000), 0, 100));
    let mut run = Run::default();
    while run.tokens.is_empty() {
        take(next(&mut worker), &mut run);
    }
    worker.kill();
    let error = loop {
        match worker.recv(PATIENCE) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(
            error,
            WorkerError::Ended {
                exit: Exit::Signal(9),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().contains("killed by SIGKILL"), "{error}");
}

#[test]
fn the_end_of_stdin_ends_it_even_while_it_computes() {
    let model = model(Damage::None);
    let params = Params {
        n_ctx: 32_768,
        ..params()
    };
    let (mut worker, _) = loaded(&model, params);
    worker.send(&run_request(generate(30_000), 0, 100));
    worker.close();
    assert_eq!(worker.wait(), Exit::Code(0));
}

#[test]
fn damaged_files_are_found_before_they_are_loaded() {
    for (damage, text) in [
        (Damage::Truncated(500), "ends within its header"),
        (Damage::Truncated(200_000), "cut short"),
        (Damage::BlockCount(1_000), "declares 1000 blocks"),
        (Damage::OffsetPastEnd, "cut short"),
    ] {
        let model = model(damage);
        let error = preflight(&model.path, &Params::default(), 1, None).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn a_file_that_llama_cpp_refuses_is_an_error_and_one_that_kills_it_an_end() {
    let mut worker = started();
    load(&mut worker, &model(Damage::Truncated(200_000)), params());
    match next(&mut worker) {
        Message::Error { code, message } => {
            assert_eq!(code, "load-failed");
            assert!(message.contains("tiny.gguf"), "{message}");
        }
        other => panic!("no error: {other:?}"),
    }
    // Preflight keeps this from happening; if it does, only the worker dies.
    let mut worker = started();
    let lie = model(Damage::BlockCount(1_000));
    load(&mut worker, &lie, params());
    match worker.recv(PATIENCE) {
        Ok(Some(Message::Error { code, .. })) => assert_eq!(code, "load-failed"),
        Err(WorkerError::Ended { exit, .. }) => assert_eq!(exit, Exit::Signal(6)),
        other => panic!("neither error nor end: {other:?}"),
    }
}

#[test]
fn weights_that_are_no_numbers_are_an_error() {
    let model = model(Damage::NanWeights);
    let (mut worker, _) = loaded(&model, params());
    let run = run(&mut worker, &run_request(generate(5), 0, 1));
    assert_eq!(run.error.unwrap().0, "not-finite");
}

#[test]
fn requests_out_of_order_are_errors() {
    let mut worker = started();
    let run = run(&mut worker, &run_request(generate(5), 0, 1));
    assert_eq!(run.error.unwrap().0, "protocol");
}

/// Started for a parent that is not its own, as if that one had died meanwhile.
#[test]
fn a_worker_of_a_dead_daemon_does_not_start() {
    let output = std::process::Command::new(&command()[0])
        .env("JOULED_PARENT_PID", "1")
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("has ended"), "{said}");
}

/// A shell takes the part of the daemon and is killed; nothing closes the worker's stdin,
/// since this test holds its other end.
#[test]
fn a_worker_dies_with_its_parent() {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    let mut parent = Command::new("sh")
        .arg("-c")
        // stdin of a background command would be /dev/null.
        .arg("exec 3<&0; export JOULED_PARENT_PID=$$; \"$0\" <&3 & wait")
        .arg(&command()[0])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(parent.stdout.take().unwrap());
    let mut hello = String::new();
    output.read_line(&mut hello).unwrap();
    assert!(hello.contains("hello"), "{hello}");
    let held = parent.stdin.take();
    parent.kill().unwrap();
    parent.wait().unwrap();
    // The end of its output is the end of the worker: no one else holds it.
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    drop(held);
}
