//! Workers of a line of shell, well-behaved and not.

use super::*;
use proptest::prelude::*;

const PATIENCE: Duration = Duration::from_secs(30);
const HELLO: &str = r#"{"type":"hello","protocol":1,"pid":1,"name":"sh","revision":"0"}"#;

fn shell(script: &str) -> Worker {
    let command = ["sh", "-c", script].map(str::to_owned);
    Worker::spawn(&command, &WorkerLimits::default()).expect("sh starts")
}

fn error_of(worker: &mut Worker) -> WorkerError {
    loop {
        match worker.recv(PATIENCE) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the worker said nothing"),
            Err(error) => return error,
        }
    }
}

#[test]
fn a_missing_program_is_an_error_that_names_no_path() {
    let command = ["/nonexistent/worker".to_owned()];
    let error = Worker::spawn(&command, &WorkerLimits::default()).expect_err("no such program");
    let error = error.to_string();
    assert!(error.contains("No such file"), "{error}");
    assert!(!error.contains("/nonexistent"), "{error}");
}

#[test]
fn requests_reach_it_and_messages_come_back() {
    let mut worker = shell(&format!(
        r#"echo '{HELLO}'; read line; echo "$line" >&2; echo '{{"type":"error","code":"x","message":"y"}}'"#
    ));
    assert!(matches!(
        worker.recv(PATIENCE),
        Ok(Some(Message::Hello { .. }))
    ));
    worker.send(&Request::Cancel {
        reason: crate::runtime::protocol::StopReason::Timeout,
    });
    assert!(matches!(
        worker.recv(PATIENCE),
        Ok(Some(Message::Error { .. }))
    ));
    assert_eq!(worker.wait(), Exit::Code(0));
    assert_eq!(
        worker.stderr_tail(),
        r#"{"type":"cancel","reason":"timeout"}"#
    );
}

#[test]
fn its_end_is_named_with_its_last_words() {
    let mut worker = shell("echo no weights >&2; exit 3");
    let error = error_of(&mut worker).to_string();
    assert!(error.contains("exited with code 3"), "{error}");
    assert!(error.contains("no weights"), "{error}");

    for (signal, name) in [
        ("KILL", "SIGKILL"),
        ("SEGV", "SIGSEGV"),
        ("ABRT", "SIGABRT"),
    ] {
        let error = error_of(&mut shell(&format!("kill -{signal} $$"))).to_string();
        assert!(error.contains(&format!("killed by {name}")), "{error}");
    }
}

#[test]
fn killing_takes_the_whole_group() {
    let mut worker = shell(&format!("sleep 1000 & echo '{HELLO}'; wait"));
    assert!(matches!(worker.recv(PATIENCE), Ok(Some(_))));
    worker.kill();
    assert_eq!(worker.wait(), Exit::Signal(9));
    // Its group has no member left, or only such that are being reaped by init.
    let gone = (0..500).any(|_| {
        let gone = rustix::process::test_kill_process_group(worker.group()).is_err();
        std::thread::sleep(Duration::from_millis(if gone { 0 } else { 10 }));
        gone
    });
    assert!(gone, "the sleeping child has outlived its group");
}

#[test]
fn children_that_hold_its_pipes_do_not_hide_its_end() {
    let mut worker = shell("sleep 1000 & exit 4");
    let error = (0..PATIENCE.as_secs() * 20)
        .find_map(|_| worker.recv(Duration::from_millis(50)).err())
        .expect("its end is noticed");
    assert!(error.to_string().contains("exited with code 4"), "{error}");
}

#[test]
fn end_of_stdin_reaches_it() {
    let mut worker = shell(&format!("echo '{HELLO}'; cat >/dev/null; exit 7"));
    worker.close();
    assert_eq!(worker.wait(), Exit::Code(7));
}

#[test]
fn garbage_is_a_protocol_error() {
    for script in [
        "echo garbage; sleep 1000",
        r#"echo '{"type":"nonsense"}'; sleep 1000"#,
        "head -c 3000000 /dev/zero | tr '\\0' 'x'; sleep 1000",
        "exec >&-; sleep 1000",
    ] {
        let mut worker = shell(script);
        let error = error_of(&mut worker);
        assert!(matches!(error, WorkerError::Protocol { .. }), "{error}");
        assert_eq!(worker.wait(), Exit::Signal(9));
    }
}

#[test]
fn a_worker_that_does_not_read_blocks_nobody() {
    let mut worker = shell("sleep 1000");
    let request = Request::Load {
        path: "x".repeat(1 << 20),
        params: crate::workload::Params::default(),
        n_outputs: 1,
    };
    worker.send(&request);
    worker.send(&request);
    assert!(matches!(worker.recv(Duration::from_millis(1)), Ok(None)));
}

#[test]
fn it_has_memory_and_time_while_it_lives() {
    let mut worker = shell(&format!("echo '{HELLO}'; sleep 1000"));
    assert!(matches!(worker.recv(PATIENCE), Ok(Some(_))));
    assert!(worker.memory().is_some_and(|m| m.rss_peak_bytes > Some(0)));
    assert!(worker.usage().is_some());
    worker.kill();
    worker.wait();
    assert_eq!(worker.memory(), None);
}

#[test]
fn it_is_the_first_to_go_and_writes_no_core() {
    let mut worker = shell(&format!(
        "read x; cat /proc/self/oom_score_adj >&2; ulimit -c >&2; echo '{HELLO}'"
    ));
    worker.send(&Request::Cancel {
        reason: crate::runtime::protocol::StopReason::Cancelled,
    });
    error_of(&mut worker);
    assert_eq!(worker.stderr_tail(), "1000\n0");
}

proptest! {
    #[test]
    fn no_output_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (sender, messages) = channel();
        read_messages(&bytes[..], &sender);
        drop(sender);
        let received: Vec<_> = messages.iter().collect();
        // Whatever it said, the first fault is the last word.
        let faults = received.iter().filter(|(message, _)| message.is_err()).count();
        prop_assert!(faults <= 1);
    }
}
