//! HTTPS in this process. The certificate is read again when its file changes, so that a renewal needs no restart.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::config::Tls;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Makes TLS connections with the certificate that there is now.
pub(crate) struct Acceptor {
    files: Tls,
    current: RwLock<(Changed, Arc<ServerConfig>)>,
    /// What was said last of files that cannot be used.
    said: Mutex<Option<String>>,
}

/// When certificate and key were changed last.
type Changed = [Option<SystemTime>; 2];

impl Acceptor {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// One of the files cannot be read, or they do not belong together.
    pub(crate) fn new(files: Tls) -> Result<Self, String> {
        let current = (changed(&files), load(&files)?);
        Ok(Self { files, current: RwLock::new(current), said: Mutex::default() })
    }

    /// The handshake with a client.
    ///
    /// # Errors
    /// Those of the handshake and of the connection.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).1);
        TlsAcceptor::from(config).accept(stream).await
    }

    /// Looks for a new certificate, for ever. One that cannot be read leaves the old one in place.
    pub(crate) async fn renew(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let this = Arc::clone(&self);
            // Files may be on a disk that hangs: on a thread that may block.
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Takes a certificate that has changed. Reads it before it takes the lock, so that no handshake waits for a file.
    fn look(&self) {
        let seen = changed(&self.files);
        if seen == self.current.read().unwrap_or_else(PoisonError::into_inner).0 {
            return;
        }
        match load(&self.files) {
            Ok(config) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = (seen, config);
                *self.said.lock().unwrap_or_else(PoisonError::into_inner) = None;
                log::info!("the certificate was read again");
            }
            Err(error) => {
                // Key and certificate are written one after the other: the next look may find both.
                if self.is_news(&error) {
                    log::warn!("the old certificate stays in use: {error}");
                }
            }
        }
    }
}

impl Acceptor {
    /// Whether this was not said the last time: a renewal that has failed lasts for days.
    fn is_news(&self, error: &str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.replace(error.to_owned()).as_deref() != Some(error)
    }
}

fn changed(files: &Tls) -> Changed {
    let time = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    [time(&files.certificate), time(&files.key)]
}

fn load(files: &Tls) -> Result<Arc<ServerConfig>, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect)
        .map_err(|error| at(&files.certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| at(&files.key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| at(&files.certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_again_while_a_handshake_holds_the_old_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let files = Tls { certificate: path("certificate.pem"), key: path("key.pem") };
        let issue = || {
            let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
            fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
            fs::write(&files.certificate, issued.cert.pem()).unwrap();
        };
        issue();
        let acceptor = Acceptor::new(files.clone()).unwrap();
        // A pipe is a file that never ends: the look at it waits for as long as nobody writes.
        fs::remove_file(&files.certificate).unwrap();
        nix::unistd::mkfifo(&files.certificate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| acceptor.look());
            // Opening the pipe for writing returns when the look has opened it.
            let mut pipe = fs::OpenOptions::new().write(true).open(&files.certificate).unwrap();
            assert!(acceptor.current.try_read().is_ok(), "a handshake waits for a file");
            io::Write::write_all(&mut pipe, b"no certificate").unwrap();
            drop(pipe);
            looking.join().unwrap();
        });
        assert!(acceptor.current.read().unwrap().0[0].is_some(), "the old one stays");
        let said = acceptor.said.lock().unwrap().clone().unwrap();
        assert!(!acceptor.is_news(&said) && acceptor.is_news("another error"));
    }
}
