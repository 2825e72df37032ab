//! A transport that does not speak while somebody else does.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Something had come in before the question went out: it can't be the question's answer.
#[derive(Debug, thiserror::Error)]
#[error("bytes that nobody asked for")]
pub(super) struct Unsolicited;

/// Writes only when nothing waits to be read, and tells the end of the stream as an error.
#[derive(Debug)]
pub(super) struct Listening<T>(pub T);

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other side closed it")
}

impl<T: AsyncRead + Unpin> AsyncRead for Listening<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(context, buffer))?;
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            return Poll::Ready(Err(closed()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Listening<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut unasked = [0; 16];
        let mut buffer = ReadBuf::new(&mut unasked);
        match self.as_mut().poll_read(context, &mut buffer) {
            Poll::Pending => Pin::new(&mut self.0).poll_write(context, bytes),
            Poll::Ready(Ok(())) => Poll::Ready(Err(io::Error::other(Unsolicited))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn it_speaks_into_silence_only() {
        block_on(async {
            let (near, mut far) = duplex(64);
            let mut near = Listening(near);
            near.write_all(b"ask").await.unwrap();
            far.write_all(b"answer and more").await.unwrap();
            let mut answer = [0; 6];
            near.read_exact(&mut answer).await.unwrap();
            let error = near.write_all(b"ask").await.unwrap_err();
            assert!(error.get_ref().unwrap().is::<Unsolicited>(), "{error}");
        });
    }

    #[test]
    fn the_end_of_the_stream_is_an_error() {
        block_on(async {
            let (near, far) = duplex(64);
            let mut near = Listening(near);
            drop(far);
            let error = near.read(&mut [0; 8]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            let error = near.write_all(b"ask").await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        });
    }
}
