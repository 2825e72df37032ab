//! The way to the broker: whom a board and the lab's tool trust, as whom they come, and what
//! they say when it does not work.
#![allow(clippy::unwrap_used, reason = "a test")]
#![cfg(feature = "lab")]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use support::authority::{ALWAYS, Authority, HOST, Identity};
use support::daemon::{DEVICE, Daemon, STEADY, eventually};
use support::mosquitto::{Mosquitto, set_password};
use support::tool;

/// A broker whose only listener speaks TLS.
fn tls_broker(authority: &Authority, server: &Identity, more: &str) -> Mosquitto {
    Mosquitto::with_options(&format!(
        "cafile {}\ncertfile {}\nkeyfile {}\n{more}",
        authority.ca().display(),
        server.cert.display(),
        server.key.display()
    ))
}

/// `[mqtt]` for a broker at `host`, with further lines.
fn mqtt(scheme: &str, host: &str, broker: &Mosquitto, more: &str) -> String {
    format!(
        "[mqtt]\nurl = \"{scheme}://{host}:{}\"\n{more}\n",
        broker.port
    )
}

fn ca_line(ca: &Path) -> String {
    format!("ca_file = {ca:?}\n")
}

fn board(broker: &Mosquitto, mqtt: &str) -> Daemon {
    let mut daemon = Daemon::prepare(broker, STEADY);
    daemon.configure("10-mqtt.toml", mqtt);
    daemon.spawn();
    daemon
}

fn connects(daemon: &Daemon) {
    let connected = || daemon.log().contains(" connected broker=");
    assert!(eventually(connected), "it does not connect");
}

fn says(daemon: &Daemon, words: &[&str]) {
    for word in words {
        assert!(
            eventually(|| daemon.log().contains(word)),
            "nothing of {word:?}"
        );
    }
}

fn joulectl(url: &str, arguments: &[&str]) -> Output {
    tool::joulectl_with(&[("JOULED_BROKER", url)], arguments)
}

fn check(daemon: &Daemon) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jouled"))
        .args(["check", "--config"])
        .arg(daemon.path().join("jouled.toml"))
        .env_remove("CREDENTIALS_DIRECTORY")
        .output()
        .expect("jouled starts")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
#[cfg(feature = "llama")]
fn a_job_and_its_result_travel_over_tls() {
    use support::rig::MODEL;
    use support::tiny_gguf::{self, Damage};
    let authority = Authority::new();
    let broker = tls_broker(&authority, &authority.server(HOST, ALWAYS), "");
    let mut daemon = Daemon::prepare(&broker, STEADY);
    tiny_gguf::write(&daemon.models().join(MODEL), Damage::None).unwrap();
    let ca = authority.ca();
    daemon.configure("10.toml", &mqtt("mqtts", HOST, &broker, &ca_line(&ca)));
    daemon.spawn();
    connects(&daemon);
    let url = format!("mqtts://{HOST}:{}", broker.port);
    let job = "submit --id t -p Why? -n 8 --ignore-eos -t 1 --idle-before 0.2 --idle-after 0.2";
    let mut arguments: Vec<&str> = job.split(' ').collect();
    arguments.extend(["-m", MODEL, "--wait", "--json", "--device", DEVICE]);
    arguments.extend(["--ca-file", ca.to_str().unwrap()]);
    let done = joulectl(&url, &arguments);
    assert!(done.status.success(), "{done:?}");
    let result: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(result["state"], "succeeded");
}

#[test]
fn a_certificate_is_a_login() {
    let authority = Authority::new();
    let by_certificate =
        "allow_anonymous false\nrequire_certificate true\nuse_identity_as_username true\n";
    let server = authority.server(HOST, ALWAYS);
    let broker = tls_broker(&authority, &server, by_certificate);
    let Identity { cert, key } = authority.client(DEVICE);
    let ca = authority.ca();
    let own = format!("{}cert_file = {cert:?}\nkey_file = {key:?}\n", ca_line(&ca));
    let daemon = board(&broker, &mqtt("mqtts", HOST, &broker, &own));
    connects(&daemon);
    // The user name, in mosquitto's log of who came.
    assert!(broker.log().contains(&format!("u'{DEVICE}'")));

    let lab = authority.client("lab");
    let url = format!("mqtts://{HOST}:{}", broker.port);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (ca, cert, key) = (text(&ca), text(&lab.cert), text(&lab.key));
    let list = ["jobs", "--json", "--device", DEVICE, "--ca-file", &ca];
    let listed = joulectl(
        &url,
        &[&list[..], &["--cert-file", &cert, "--key-file", &key]].concat(),
    );
    assert!(listed.status.success(), "{listed:?}");
    let refused = joulectl(&url, &list);
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(stderr(&refused).contains("--cert-file"), "{refused:?}");
}

#[test]
fn a_board_without_certificate_is_told_that_the_broker_demands_one() {
    let authority = Authority::new();
    let server = authority.server(HOST, ALWAYS);
    let broker = tls_broker(&authority, &server, "require_certificate true\n");
    let own = ca_line(&authority.ca());
    let mut daemon = board(&broker, &mqtt("mqtts", HOST, &broker, &own));
    says(&daemon, &["demands a client certificate", "cert_file"]);
    assert!(daemon.is_running());
}

#[test]
fn a_certificate_of_another_authority_is_not_accepted() {
    let authority = Authority::new();
    let server = authority.server(HOST, ALWAYS);
    let broker = tls_broker(&authority, &server, "require_certificate true\n");
    let other = Authority::new();
    let Identity { cert, key } = other.client(DEVICE);
    let own = format!(
        "{}cert_file = {cert:?}\nkey_file = {key:?}\n",
        ca_line(&authority.ca())
    );
    let daemon = board(&broker, &mqtt("mqtts", HOST, &broker, &own));
    says(&daemon, &["does not accept the certificate in cert_file"]);
}

/// How often somebody came so far, the test itself at its start included.
fn tries(broker: &Mosquitto) -> usize {
    // "New connection from", or "Client connection from … failed".
    broker.log().matches("onnection from 127.0.0.1").count()
}

fn is_not_trusted(authority: &Authority, server: &Identity, host: &str, ca: &Path, words: &[&str]) {
    let broker = tls_broker(authority, server, "");
    let mut daemon = board(&broker, &mqtt("mqtts", host, &broker, &ca_line(ca)));
    says(&daemon, words);
    assert!(eventually(|| tries(&broker) > 2), "it goes on trying");
    let url = format!("mqtts://{host}:{}", broker.port);
    let lab = joulectl(&url, &["jobs", "--ca-file", ca.to_str().unwrap()]);
    assert_eq!(lab.status.code(), Some(3), "{lab:?}");
    for word in words {
        let word = word.replace("ca_file", "--ca-file");
        assert!(stderr(&lab).contains(&word), "{word}: {lab:?}");
    }
    let log = daemon.log();
    assert_eq!(log.matches("not connected").count(), 1, "said once: {log}");
    assert!(!log.contains(" connected broker="));
    assert!(daemon.is_running());
}

#[test]
fn a_broker_of_an_unknown_authority_is_not_trusted() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.server(HOST, ALWAYS);
    let words = ["not trusted", "ca_file"];
    is_not_trusted(&authority, &server, HOST, &other.ca(), &words);
}

#[test]
fn a_broker_whose_certificate_expired_is_not_trusted() {
    let authority = Authority::new();
    let server = authority.server(HOST, (2000, 2020));
    let words = ["expired on 2020-01-01", "clock"];
    is_not_trusted(&authority, &server, HOST, &authority.ca(), &words);
}

#[test]
fn a_board_whose_clock_is_behind_is_told_so() {
    let authority = Authority::new();
    let server = authority.server(HOST, (2090, 2100));
    let words = ["valid from 2090-01-01 on", "clock"];
    is_not_trusted(&authority, &server, HOST, &authority.ca(), &words);
}

#[test]
fn a_broker_of_another_name_is_not_trusted() {
    let authority = Authority::new();
    let server = authority.server(HOST, ALWAYS);
    let words = ["not for localhost", HOST];
    is_not_trusted(&authority, &server, "localhost", &authority.ca(), &words);
}

/// The board's own are those of its system, or of a file that its environment names.
#[test]
fn without_ca_file_the_boards_own_authorities_are_trusted_and_no_others() {
    let (authority, other) = (Authority::new(), Authority::new());
    let broker = tls_broker(&authority, &authority.server(HOST, ALWAYS), "");
    let board_that_trusts = |own: &Authority| {
        let mut daemon = Daemon::prepare(&broker, STEADY);
        daemon.configure("10-mqtt.toml", &mqtt("mqtts", HOST, &broker, ""));
        daemon.variable("SSL_CERT_FILE", own.ca());
        daemon.spawn();
        daemon
    };
    connects(&board_that_trusts(&authority));
    let wary = board_that_trusts(&other);
    says(&wary, &["not trusted", "ca_file"]);
    assert!(!wary.log().contains(" connected broker="));
}

#[test]
fn who_speaks_tls_and_who_does_not_find_out() {
    let authority = Authority::new();
    let with = tls_broker(&authority, &authority.server(HOST, ALWAYS), "");
    let without = Mosquitto::start();
    let plain = board(&with, &mqtt("mqtt", HOST, &with, ""));
    let tls = board(
        &without,
        &mqtt("mqtts", HOST, &without, &ca_line(&authority.ca())),
    );
    says(&plain, &["mqtts://"]);
    says(&tls, &["does it speak TLS on this port?"]);
}

fn password_broker(file: &Path) -> Mosquitto {
    Mosquitto::with_options(&format!(
        "allow_anonymous false\npassword_file {}\n",
        file.display()
    ))
}

fn login(password: &Path) -> String {
    format!("username = \"pi\"\npassword_file = {password:?}\n")
}

#[test]
fn a_wrong_password_is_said_once_and_tried_until_it_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("passwd"), dir.path().join("password"));
    set_password(&theirs, "pi", "first");
    std::fs::write(&ours, "second\n").unwrap();
    let broker = password_broker(&theirs);
    let daemon = board(&broker, &mqtt("mqtt", HOST, &broker, &login(&ours)));
    says(&daemon, &["refuses user pi", "password_file"]);
    assert!(eventually(|| tries(&broker) > 2), "it goes on trying");
    assert_eq!(daemon.log().matches("not connected").count(), 1);
    set_password(&theirs, "pi", "second");
    broker.reload();
    connects(&daemon);
}

#[test]
fn a_renewed_password_is_read_at_the_next_connection() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("passwd"), dir.path().join("password"));
    set_password(&theirs, "pi", "first");
    std::fs::write(&ours, "first\n").unwrap();
    let mut broker = password_broker(&theirs);
    let daemon = board(&broker, &mqtt("mqtt", HOST, &broker, &login(&ours)));
    connects(&daemon);
    set_password(&theirs, "pi", "second");
    broker.kill();
    broker.restart();
    says(&daemon, &["refuses user pi"]);
    std::fs::write(&ours, "second\n").unwrap();
    let connections = || daemon.log().matches(" connected broker=").count();
    assert!(eventually(|| connections() == 2), "connected again");
}

#[test]
fn a_renewed_authority_is_read_at_the_next_connection() {
    let authority = Authority::new();
    let broker = tls_broker(&authority, &authority.server(HOST, ALWAYS), "");
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::copy(Authority::new().ca(), &ca).unwrap();
    let daemon = board(&broker, &mqtt("mqtts", HOST, &broker, &ca_line(&ca)));
    says(&daemon, &["not trusted"]);
    std::fs::write(&ca, "half a file").unwrap();
    says(&daemon, &["going on with what was read before", "ca_file"]);
    std::fs::copy(authority.ca(), &ca).unwrap();
    connects(&daemon);
}

#[test]
fn no_secret_is_logged() {
    const PASSWORD: &str = "hush-do-not-tell";
    let authority = Authority::new();
    let dir = tempfile::tempdir().unwrap();
    set_password(&dir.path().join("passwd"), "pi", PASSWORD);
    let asks = format!(
        "require_certificate true\nallow_anonymous false\npassword_file {}\n",
        dir.path().join("passwd").display()
    );
    let broker = tls_broker(&authority, &authority.server(HOST, ALWAYS), &asks);
    let identity = authority.client(DEVICE);
    // As systemd passes them.
    let credentials = dir.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("password"), PASSWORD).unwrap();
    std::fs::copy(&identity.key, credentials.join("key")).unwrap();
    std::fs::copy(&identity.cert, credentials.join("cert")).unwrap();
    std::fs::copy(authority.ca(), credentials.join("ca")).unwrap();
    let own = "username = \"pi\"\npassword_file = \"password\"\nca_file = \"ca\"\n\
               cert_file = \"cert\"\nkey_file = \"key\"\n";
    let mut daemon = Daemon::prepare(&broker, STEADY);
    daemon.configure("10.toml", &mqtt("mqtts", HOST, &broker, own));
    daemon.variable("CREDENTIALS_DIRECTORY", &credentials);
    daemon.variable("JOULED_LOG", "trace");
    daemon.spawn();
    connects(&daemon);
    // A refusal must not tell either.
    set_password(&dir.path().join("passwd"), "pi", "another");
    broker.reload();
    daemon.terminate();
    daemon.spawn();
    says(&daemon, &["refuses user pi"]);
    let log = daemon.log();
    let key = std::fs::read_to_string(&identity.key).unwrap();
    let secret_lines = key.lines().filter(|line| !line.contains("-----"));
    for secret in secret_lines.chain([PASSWORD]) {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn check_finds_what_needs_no_network() {
    let authority = Authority::new();
    let broker = Mosquitto::start();
    let daemon = Daemon::prepare(&broker, STEADY);
    let one = authority.client("one");
    let other = authority.client("other");
    let ca = ca_line(&authority.ca());
    let half = authority.path().join("half.pem");
    std::fs::write(&half, "-----BEGIN CERTIFICATE-----\n").unwrap();
    let (cert, key) = (&one.cert, &one.key);
    for (scheme, own, words) in [
        ("mqtts", ca.clone(), "valid"),
        ("mqtt", ca.clone(), "ca_file with an mqtt:// URL"),
        ("mqtts", format!("{ca}cert_file = {cert:?}"), "key_file"),
        ("mqtts", format!("{ca}key_file = {key:?}"), "cert_file"),
        (
            "mqtts",
            format!("{ca}cert_file = {cert:?}\nkey_file = {:?}", other.key),
            "does not belong to the certificate",
        ),
        (
            "mqtts",
            format!("{ca}cert_file = {cert:?}\nkey_file = {cert:?}"),
            "holds no private key",
        ),
        ("mqtts", ca_line(key), "holds no certificate"),
        ("mqtts", ca_line(&half), "half.pem: is no PEM file"),
        ("mqtts", ca_line(Path::new("/absent.pem")), "/absent.pem"),
        ("mqtts", ca_line(Path::new("mqtt-ca")), "systemd credential"),
    ] {
        daemon.configure("10.toml", &mqtt(scheme, HOST, &broker, &own));
        let checked = check(&daemon);
        let text = String::from_utf8_lossy(&checked.stdout).into_owned() + &stderr(&checked);
        assert!(text.contains(words), "{words}: {text}");
        assert_eq!(checked.status.success(), words == "valid", "{text}");
    }
}

#[test]
fn keys_are_read_in_the_forms_that_openssl_writes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let openssl = |line: &str| {
        let done = Command::new("openssl")
            .args(line.split(' '))
            .output()
            .expect("openssl is installed: apt-get install openssl");
        assert!(done.status.success(), "{line}: {done:?}");
    };
    let (cert, pkcs8, pkcs1) = (at("cert.pem"), at("pkcs8.key"), at("pkcs1.key"));
    openssl(&format!(
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=board -keyout {pkcs8} -out {cert}"
    ));
    openssl(&format!("rsa -in {pkcs8} -out {pkcs1} -traditional"));
    let (ec_cert, sec1) = (at("ec.pem"), at("sec1.key"));
    openssl(&format!(
        "ecparam -name prime256v1 -genkey -noout -out {sec1}"
    ));
    openssl(&format!(
        "req -x509 -new -subj /CN=board -key {sec1} -out {ec_cert}"
    ));
    let broker = Mosquitto::start();
    let daemon = Daemon::prepare(&broker, STEADY);
    for (cert, key, form) in [
        (&cert, &pkcs8, "BEGIN PRIVATE"),
        (&cert, &pkcs1, "BEGIN RSA PRIVATE"),
        (&ec_cert, &sec1, "BEGIN EC PRIVATE"),
    ] {
        assert!(std::fs::read_to_string(key).unwrap().contains(form));
        let own = format!("ca_file = {cert:?}\ncert_file = {cert:?}\nkey_file = {key:?}\n");
        daemon.configure("10.toml", &mqtt("mqtts", HOST, &broker, &own));
        let checked = check(&daemon);
        assert!(checked.status.success(), "{form}: {checked:?}");
    }
}
