//! QUIC (RFC 9000), by quinn: a connection for each request, and one that is kept, with a stream for
//! each request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;

use quinn::rustls::RootCertStore;
use quinn::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TransportConfig,
    VarInt,
};
use tokio::runtime::{self, Runtime};
use tokio::task::{self, JoinSet};

use super::{Peer, udp};
use crate::Result;
use crate::bench::orders::{Message, reply_len};

/// What the server's certificate is for.
const HOST: &str = "localhost";
/// How many streams, which are calls, may be open.
const STREAMS_MAX: u32 = 4096;
/// The longest message.
const LONGEST: usize = 16 << 20;

/// What tasks end with.
type TaskResult<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn runtime() -> Result<Runtime> {
    Ok(runtime::Builder::new_current_thread().enable_all().build()?)
}

fn endpoint(ip: IpAddr, server: Option<ServerConfig>) -> Result<Endpoint> {
    let tokio = Arc::new(quinn::TokioRuntime);
    Ok(Endpoint::new(EndpointConfig::default(), server, udp::bind(ip)?, tokio)?)
}

fn transport() -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    // Between its turns a connection is idle; nothing is sent to keep it.
    transport.max_idle_timeout(Some(IdleTimeout::from(VarInt::MAX)));
    transport.max_concurrent_bidi_streams(STREAMS_MAX.into());
    Arc::new(transport)
}

/// The address and the certificate, which clients must know.
pub(super) fn serve(ip: IpAddr) -> Result<String> {
    let pair = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let certificate = CertificateDer::from(pair.cert);
    let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der())?;
    let mut server = ServerConfig::with_single_cert(vec![certificate.clone()], key)?;
    server.transport_config(transport());
    let runtime = runtime()?;
    let endpoint = runtime.block_on(async { endpoint(ip, Some(server)) })?;
    let at = endpoint.local_addr()?;
    thread::spawn(move || runtime.block_on(accept_all(endpoint)));
    let hex: String = certificate.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{at} {hex}"))
}

async fn accept_all(endpoint: Endpoint) {
    while let Some(incoming) = endpoint.accept().await {
        task::spawn(async move {
            let connection = incoming.await?;
            // Until the client closes it.
            while let Ok((mut reply, mut request)) = connection.accept_bi().await {
                task::spawn(async move {
                    let body = request.read_to_end(LONGEST).await?;
                    reply.write_all(&body[..reply_len(&body)]).await?;
                    reply.finish()?;
                    TaskResult::Ok(())
                });
            }
            TaskResult::Ok(())
        });
    }
}

pub(super) struct Quic {
    runtime: Runtime,
    endpoint: Endpoint,
    at: SocketAddr,
    kept: Option<Connection>,
}

impl Quic {
    pub(super) fn connect(ip: IpAddr, at: &str, keep: bool) -> Result<Quic> {
        let (at, hex) = at.split_once(' ').ok_or("no certificate")?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(unhex(hex)?))?;
        let mut client = ClientConfig::with_root_certificates(Arc::new(roots))?;
        client.transport_config(transport());
        let runtime = runtime()?;
        let mut endpoint = runtime.block_on(async { endpoint(ip, None) })?;
        endpoint.set_default_client_config(client);
        let mut quic = Quic { runtime, endpoint, at: at.parse()?, kept: None };
        if keep {
            quic.kept = Some(quic.runtime.block_on(dial(&quic.endpoint, quic.at)).map_err(said)?);
        }
        Ok(quic)
    }
}

impl Drop for Quic {
    fn drop(&mut self) {
        if let Some(connection) = self.kept.take() {
            connection.close(VarInt::from_u32(0), &[]);
            self.runtime.block_on(self.endpoint.wait_idle());
        }
    }
}

impl Peer for Quic {
    fn exchange(&mut self, message: &Message) -> Result<()> {
        let (endpoint, at, kept) = (&self.endpoint, self.at, self.kept.as_ref());
        let once = async {
            match kept {
                Some(connection) => ask(connection, message).await,
                None => ask_anew(endpoint, at, message).await,
            }
        };
        self.runtime.block_on(once).map_err(said)
    }

    fn pipeline(&mut self, message: &Message, calls: usize, open: usize) -> Result<()> {
        let (endpoint, at, kept) = (&self.endpoint, self.at, self.kept.as_ref());
        let all = async {
            let mut tasks = JoinSet::new();
            let (mut begun, mut done) = (0, 0);
            while done < calls {
                while begun < calls.min(done + open) {
                    let (endpoint, kept, message) =
                        (endpoint.clone(), kept.cloned(), message.clone());
                    tasks.spawn(async move {
                        match kept {
                            Some(connection) => ask(&connection, &message).await,
                            None => ask_anew(&endpoint, at, &message).await,
                        }
                    });
                    begun += 1;
                }
                tasks.join_next().await.ok_or("no call is open")???;
                done += 1;
            }
            TaskResult::Ok(())
        };
        self.runtime.block_on(all).map_err(said)
    }
}

async fn dial(endpoint: &Endpoint, at: SocketAddr) -> TaskResult<Connection> {
    Ok(endpoint.connect(at, HOST)?.await?)
}

async fn ask(connection: &Connection, message: &Message) -> TaskResult {
    let (mut request, mut reply) = connection.open_bi().await?;
    request.write_chunk(message.body()).await?;
    request.finish()?;
    let body = reply.read_to_end(LONGEST).await?;
    Ok(message.check(body.len())?)
}

async fn ask_anew(endpoint: &Endpoint, at: SocketAddr, message: &Message) -> TaskResult {
    let connection = dial(endpoint, at).await?;
    ask(&connection, message).await?;
    connection.close(VarInt::from_u32(0), &[]);
    // The connection's own task says so to the server.
    task::yield_now().await;
    Ok(())
}

fn said(error: Box<dyn std::error::Error + Send + Sync>) -> Box<dyn std::error::Error> {
    error
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).map_err(|_| "no hexadecimal digits")?;
        u8::from_str_radix(digits, 16).map_err(|_| "no hexadecimal digits")
    });
    Ok(bytes.collect::<std::result::Result<_, &str>>()?)
}
