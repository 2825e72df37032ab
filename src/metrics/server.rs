//! Sockets of the metrics. Whoever connects is hostile until its request has been judged, and
//! takes little of the board afterwards: few connections at once, few a second, each of them
//! short and in a buffer of fixed size.

use super::Metrics;
use super::request::{self, Format, Refusal, Request};
use crate::clock;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

const CONNECTIONS: usize = 4;
/// So many more wait in the kernel: clients that say nothing hold up those behind them.
const WAITING: u32 = 8;
/// From one connection to the next: fifty a second, which is some tenths of a percent of a
/// core, whoever asks.
const PAUSE: Duration = Duration::from_millis(20);
/// For a whole connection. A scrape takes a millisecond; Prometheus gives up after ten seconds.
const LONGEST: Duration = Duration::from_secs(5);
/// For the request alone, which fits one packet.
const REQUEST_WITHIN: Duration = Duration::from_millis(500);
const HEADER_BYTES: usize = 8 * 1024;
/// An address may come up after the daemon, and whoever has the port may leave.
const AGAIN: Duration = Duration::from_secs(30);
/// What a refused client has still to say is read for so long, so that it reads the refusal.
const HEARD_OUT: Duration = Duration::from_millis(200);
/// And so much of it: reading costs the board, sending costs a client next to nothing.
const HEARD_OUT_BYTES: usize = 16 * 1024;

/// Serves for as long as the daemon runs. Where `address` can't be had, `complain` hears so
/// once, and it is tried again: measuring goes on without metrics.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    complain: impl Fn(String) + Send,
) -> Infallible {
    let listener = listen(address, complain).await;
    tracing::info!(%address, "metrics can be read");
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    let _place = place;
                    // A client that goes, or takes too long, needs no answer.
                    let _ = timeout(LONGEST, talk(stream, &metrics)).await;
                });
            }
            // It was gone before it was here, or the process has no descriptor left.
            Err(error) => tracing::debug!(%error, "a connection for metrics"),
        }
        sleep(PAUSE).await;
    }
}

async fn listen(address: SocketAddr, complain: impl Fn(String)) -> TcpListener {
    let mut complained = false;
    loop {
        match bind(address) {
            Ok(listener) => return listener,
            Err(error) if !complained => {
                complained = true;
                complain(format!(
                    "metrics.listen {address}: {error}; choose another port or address. It is \
                     tried again every {} s",
                    AGAIN.as_secs()
                ));
            }
            Err(_) => {}
        }
        sleep(AGAIN).await;
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A daemon that starts again need not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// One request and its answer.
async fn talk(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    metrics: &Metrics,
) -> io::Result<()> {
    let Ok(asked) = timeout(REQUEST_WITHIN, read(&mut stream)).await else {
        return Ok(());
    };
    let asked = asked?;
    let answer = match asked {
        None => return Ok(()),
        Some(Ok(request)) => metrics_answer(request, metrics),
        Some(Err(refusal)) => refusal_answer(refusal),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    if matches!(asked, Some(Err(_))) {
        // To close before it was heard out would take the answer back.
        let _ = timeout(HEARD_OUT, hear_out(&mut stream)).await;
    }
    Ok(())
}

/// Until the client has said everything, or too much.
async fn hear_out(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut rest = [0; 1024];
    let mut heard = 0;
    while heard < HEARD_OUT_BYTES {
        match stream.read(&mut rest).await? {
            0 => break,
            more => heard += more,
        }
    }
    Ok(())
}

/// `None` when the client says nothing, or goes in the middle of it.
async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<Result<Request, Refusal>>> {
    let mut buffer = vec![0; HEADER_BYTES];
    let mut filled = 0;
    while filled < buffer.len() {
        let seen = filled;
        match stream.read(&mut buffer[filled..]).await? {
            0 => return Ok(None),
            more => filled += more,
        }
        if let Some(end) = request::end_of_header(&buffer[..filled], seen) {
            return Ok(Some(request::parse(&buffer[..end])));
        }
    }
    Ok(Some(Err(Refusal::TooLarge)))
}

fn metrics_answer(request: Request, metrics: &Metrics) -> String {
    let text = metrics.text(request.format, clock::now());
    let header = header("200 OK", request.format.content_type(), text.len(), "");
    match request.head_only {
        true => header,
        false => header + &text,
    }
}

fn refusal_answer(refusal: Refusal) -> String {
    let text = format!("{refusal}\n");
    let allow = match refusal {
        Refusal::Method => "Allow: GET, HEAD\r\n",
        _ => "",
    };
    let kind = Format::Text.content_type();
    header(refusal.status(), kind, text.len(), allow) + &text
}

fn header(status: &str, content_type: &str, length: usize, more: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n{more}\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_refused_is_not_listened_to_for_ever() {
        let mut endless = tokio::io::repeat(b'x').take(10 * HEARD_OUT_BYTES as u64);
        hear_out(&mut endless).await.unwrap();
        let heard = 10 * HEARD_OUT_BYTES as u64 - endless.limit();
        assert!(heard <= HEARD_OUT_BYTES as u64 + 1024, "{heard}");
    }
}
