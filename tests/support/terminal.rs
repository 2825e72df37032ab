//! A program in a terminal of its own: `script` makes the terminal, and what is drawn is read as
//! a terminal would.

use super::lab::PATIENCE;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<vt100::Parser>>,
    dir: PathBuf,
}

/// How the program has ended.
pub struct Ended {
    pub code: i32,
    /// Whether the terminal's settings are as before.
    pub restored: bool,
    /// The screen that it left.
    pub screen: String,
}

impl Terminal {
    /// Starts `command`, which a shell reads. `dir` is for notes about it.
    pub fn start(dir: &Path, rows: u16, columns: u16, command: &str) -> Self {
        let at = |name: &str| dir.join(name).display().to_string();
        // `exec` below the inner shell: the noted process is the program itself.
        let command = format!(
            "stty rows {rows} cols {columns}; stty -g > {}; sh -c 'echo $$ > {}; exec {command}'; \
             echo $? > {}; stty -g > {}; mv {} {}",
            at("before"),
            at("pid"),
            at("code.part"),
            at("after"),
            at("code.part"),
            at("code"),
        );
        let mut script = Command::new("script")
            .args(["-q", "-f", "-c", &command, "/dev/null"])
            .env("SHELL", "/bin/sh")
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("script is installed: apt-get install bsdutils");
        let keys = script.stdin.take().expect("piped");
        let mut drawn = script.stdout.take().expect("piped");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
        let parser = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = drawn.read(&mut bytes) {
                let mut parser = parser.lock().expect("nobody panics with it");
                parser.process(&bytes[..length]);
            }
        });
        Self {
            script,
            keys,
            screen,
            dir: dir.to_owned(),
        }
    }

    pub fn press(&mut self, keys: &str) {
        let written = self.keys.write_all(keys.as_bytes());
        written.and_then(|()| self.keys.flush()).expect("it reads");
    }

    pub fn screen(&self) -> String {
        let parser = self.screen.lock().expect("nobody panics with it");
        parser.screen().contents()
    }

    /// Waits until the screen shows what `fits`, and returns it.
    pub fn wait(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if fits(&screen) {
                return screen;
            }
            let late = Instant::now() > deadline;
            assert!(!late, "waited for {what} in vain; the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn signal(&self, signal: Signal) {
        let pid = std::fs::read_to_string(self.dir.join("pid")).expect("it has started");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("not zero");
        kill_process(pid, signal).expect("it runs");
    }

    /// Waits for its end.
    pub fn ended(self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let code = self.dir.join("code");
        while !code.exists() {
            let screen = self.screen();
            assert!(Instant::now() < deadline, "it goes on and on:\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let read = |name: &str| std::fs::read_to_string(self.dir.join(name)).expect("written");
        Ended {
            code: read("code").trim().parse().expect("a number"),
            restored: read("before") == read("after"),
            screen: self.screen(),
        }
    }
}

fn size(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).expect("a terminal has a size")
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Its end hangs up the terminal, and with it what runs there.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}
