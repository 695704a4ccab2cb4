//! Accepts connections and serves them, within limits: how many, and how long each may take to say
//! what it wants.

use super::rest;
use crate::limits::{CONNECTIONS_MAX, HEAD_BYTES_MAX, PING_INTERVAL, STREAMS_MAX};
use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// How long to wait after a failure to accept (no file descriptor left) before the next attempt.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Where connections come from.
pub(super) trait Listen: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next one.
    fn next(&self) -> impl Future<Output = std::io::Result<Self::Stream>> + Send;
}

impl Listen for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> std::io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Answers are written as a whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

/// Serves until `stop` says so, then finishes the requests that are being answered. A client may
/// take `head_timeout` to send the head of a request.
pub(super) async fn serve(
    listener: impl Listen,
    router: Router,
    mut stop: watch::Receiver<bool>,
    head_timeout: Duration,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        let accepted = tokio::select! {
            accepted = listener.next() => accepted,
            // An error means that the sender is gone: stop as well.
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok(stream) => {
                let connection = serve_one(stream, router.clone(), stop.clone(), head_timeout);
                tokio::spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    // All places are free when all connections are done.
    let _ = places.acquire_many(CONNECTIONS_MAX).await;
}

async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stop: watch::Receiver<bool>,
    head_timeout: Duration,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let service = {
        let asked = Arc::clone(&asked);
        service_fn(move |request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            rest::answer(router.clone(), request)
        })
    };
    let mut builder = Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(HEAD_BYTES_MAX);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(PING_INTERVAL);
    http2.keep_alive_timeout(PING_INTERVAL).max_concurrent_streams(STREAMS_MAX);
    http2.max_header_list_size(HEAD_BYTES_MAX as u32);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut first = pin!(tokio::time::sleep(head_timeout));
    let (mut is_waiting, mut is_stopping) = (true, false);
    loop {
        tokio::select! {
            // Broken connections are the clients' affair.
            _ = connection.as_mut() => return,
            () = first.as_mut(), if is_waiting => {
                // Whoever has asked nothing by now (not even which version of HTTP it speaks, which
                // the library waits for without end) makes room for others.
                if !asked.load(Ordering::Relaxed) {
                    return;
                }
                is_waiting = false;
            }
            _ = stop.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::REST_BYTES_MAX;
    use axum::routing::{get, post};
    use http::StatusCode;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    const HEAD: Duration = Duration::from_millis(200);
    const SLOW: Duration = Duration::from_millis(800);
    /// Far more than anything here takes.
    const LIMIT: Duration = Duration::from_secs(20);

    struct Running {
        address: SocketAddr,
        stop: watch::Sender<bool>,
        serving: JoinHandle<()>,
    }

    async fn start() -> Running {
        let slow = async || {
            tokio::time::sleep(SLOW).await;
            "slow"
        };
        let router = Router::new().route("/fast", get(async || "fast")).route("/slow", get(slow));
        let router = router.route("/refuse", post(async || StatusCode::PAYLOAD_TOO_LARGE));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, router, stopped, HEAD));
        Running { address, stop, serving }
    }

    async fn connect(running: &Running, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// What the server says until it closes the connection.
    async fn read(mut stream: TcpStream) -> String {
        let mut text = String::new();
        let read = tokio::time::timeout(LIMIT, stream.read_to_string(&mut text)).await;
        // A connection that is reset has ended as well.
        let _ = read.expect("the server closes the connection");
        text
    }

    #[tokio::test]
    async fn who_does_not_say_what_it_wants_makes_room() {
        let running = start().await;
        for silence in ["", "G", "PRI * HT", "GET /fast HTTP/1.1\r\nhost: x\r\nx-slow: "] {
            let said = read(connect(&running, silence).await).await;
            assert!(!said.contains("fast"), "{silence:?}: {said}");
        }
        // So does one that has asked before.
        let said = read(connect(&running, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\nGET").await).await;
        assert!(said.contains("fast"), "{said}");
    }

    #[tokio::test]
    async fn an_answer_may_take_its_time() {
        let running = start().await;
        let request = "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";
        assert!(read(connect(&running, request).await).await.contains("slow"));
    }

    #[tokio::test]
    async fn a_body_that_is_not_read_ends_the_connection_only_where_it_is_large() {
        let running = start().await;
        let refuse = |length: usize| {
            format!("POST /refuse HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n7")
        };
        let fast = "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n";
        let (small, large) = (refuse(1), refuse(REST_BYTES_MAX + 2));
        let said = read(connect(&running, &format!("{small}{fast}{large}")).await).await;
        let answers: Vec<&str> = said.split_terminator("HTTP/1.1 ").skip(1).collect();
        assert_eq!(answers.len(), 3, "{said}");
        let closes = |answer: &str| answer.contains("connection: close\r\n");
        assert!(answers[0].starts_with("413") && !closes(answers[0]), "{said}");
        assert!(answers[1].ends_with("fast") && !closes(answers[1]), "{said}");
        assert!(answers[2].starts_with("413") && closes(answers[2]), "{said}");

        // Whoever waits to be asked for a body is not asked.
        let waits = "POST /refuse HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\n";
        let said =
            read(connect(&running, &format!("{waits}content-length: 5\r\n\r\n")).await).await;
        assert!(said.starts_with("HTTP/1.1 413") && closes(&said), "{said}");
        // Pieces of no announced length are read as far as that.
        let pieces = format!("7\r\n0123456\r\n0\r\n\r\n{fast}");
        let head = "POST /refuse HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let said = read(connect(&running, &format!("{head}{pieces}")).await).await;
        assert!(said.ends_with("fast") && !closes(&said), "{said}");
    }

    #[tokio::test]
    async fn a_stop_finishes_what_was_asked_and_takes_nothing_new() {
        let running = start().await;
        let idle = connect(&running, "GET /fast HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let busy = connect(&running, "GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        tokio::time::sleep(HEAD / 4).await;
        running.stop.send_replace(true);
        assert!(read(busy).await.contains("slow"));
        assert!(read(idle).await.contains("fast"));
        tokio::time::timeout(LIMIT, running.serving).await.expect("it ends").unwrap();
        assert!(TcpStream::connect(running.address).await.is_err());
    }
}
