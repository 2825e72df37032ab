//! Node-RED without its editor's user: a flow on a free port, ended with the test.

use super::lab::PATIENCE;
use super::mosquitto::free_port;
use serde_json::Value;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct NodeRed {
    port: u16,
    dir: tempfile::TempDir,
    process: Child,
}

impl NodeRed {
    /// Starts a flow; returns when its nodes run.
    pub fn start(flow: &Value) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = free_port();
        let settings = format!(
            "module.exports = {{ uiHost: '127.0.0.1', uiPort: {port}, flowFile: 'flow.json', \
             credentialSecret: false, diagnostics: {{ enabled: false }}, \
             telemetry: {{ enabled: false, updateNotification: false }}, \
             externalModules: {{ autoInstall: false, palette: {{ allowInstall: false }} }}, \
             logging: {{ console: {{ level: 'info' }} }} }};\n"
        );
        std::fs::write(dir.path().join("settings.js"), settings).expect("writable");
        std::fs::write(dir.path().join("flow.json"), flow.to_string()).expect("writable");
        let log = File::create(dir.path().join("log")).expect("writable");
        let process = Command::new("node")
            .arg(Path::new(&modules()).join("node-red/red.js"))
            .arg("--userDir")
            .arg(dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("node is installed: scripts/test-node");
        let started = Self { port, dir, process };
        started.until("it to start", |red| {
            red.log().contains("Started flows").then_some(())
        });
        started
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What a page of the flow answers.
    pub fn get(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let mut answer = ureq::get(url).call().expect("it answers");
        answer.body_mut().read_to_string().expect("a text")
    }

    /// Presses an inject node's button.
    pub fn press(&self, node: &str) {
        let url = format!("http://127.0.0.1:{}/inject/{node}", self.port);
        ureq::post(url).send_empty().expect("it answers");
    }

    /// Waits for something of the flow, which tells nobody by itself.
    pub fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(
                Instant::now() < deadline,
                "Node-RED: waited for {what} in vain; its log:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for NodeRed {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn modules() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/test-node");
    let output = Command::new(script)
        .arg("node-red")
        .stderr(Stdio::inherit())
        .output()
        .expect("scripts/test-node can be run");
    assert!(
        output.status.success(),
        "scripts/test-node can't install Node-RED"
    );
    let path = String::from_utf8(output.stdout).expect("a path");
    path.trim().to_owned()
}
