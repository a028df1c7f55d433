//! Serves the pages on loopback, built anew whenever a source has changed.

use crate::build::build;
use crate::fault::{Fault, Faults};
use crate::links::decode;
use crate::preprocess::Generators;
use crate::steps::{files_below, steps};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;
use tiny_http::{Header, Method, Request, Response};

/// A book that is open for reading at an address of this machine only.
///
/// ```no_run
/// use book::{Generators, Server};
/// use std::path::Path;
///
/// let server = Server::open(Path::new("book"), None, Generators::new(), 3000)?;
/// println!("http://{}/", server.address());
/// server.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server {
    http: tiny_http::Server,
    address: SocketAddr,
    root: PathBuf,
    pages: Option<PathBuf>,
    generators: Generators,
    /// The pages as last built, or why they could not be.
    edition: Result<PathBuf, Faults>,
    sources: Sources,
}

impl Server {
    /// Takes the port on 127.0.0.1 (port 0: any that is free) and builds the book; the other
    /// arguments are those of [`build`].
    ///
    /// # Errors
    ///
    /// The port is not to be had, or the book has faults.
    pub fn open(
        root: &Path,
        pages: Option<&Path>,
        generators: Generators,
        port: u16,
    ) -> Result<Server, Faults> {
        let http = tiny_http::Server::http((Ipv4Addr::LOCALHOST, port))
            .map_err(|e| Fault::of(format!("port {port}"), e.to_string()))?;
        let address = http.server_addr().to_ip().expect("a server bound to an IP address has one");
        let sources = Sources::of(root);
        let edition = build(root, pages, generators.clone())?;
        Ok(Server {
            http,
            address,
            root: root.to_owned(),
            pages: pages.map(Path::to_owned),
            generators,
            edition: Ok(edition),
            sources,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests for as long as the socket lives. The chapters, the theme and the steps
    /// may change meanwhile, the computed directives are those of this program. If a change brings a fault into the
    /// book, the answer is the faults, until they are mended.
    ///
    /// # Errors
    ///
    /// The socket failed.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            let request = self.http.recv()?;
            let sources = Sources::of(&self.root);
            if sources != self.sources {
                self.edition = build(&self.root, self.pages.as_deref(), self.generators.clone());
                self.sources = sources;
            }
            // A reader who has gone away is no failure of ours.
            let _ = answer(request, &self.edition);
        }
    }
}

/// What tells one state of the sources from another: every file with its length and time.
#[derive(PartialEq, Eq)]
struct Sources(Vec<(PathBuf, Option<(u64, SystemTime)>)>);

impl Sources {
    fn of(root: &Path) -> Sources {
        let workspace = root.join("..");
        let steps = steps(&workspace).unwrap_or_default();
        let step_sources = steps.iter().map(|(_, step)| workspace.join(step).join("src"));
        let folders = [root.join("chapters"), root.join("theme")];
        let mut sources = vec![root.join("book.toml")];
        for folder in folders.into_iter().chain(step_sources) {
            let files = files_below(&folder).unwrap_or_default();
            sources.extend(files.iter().map(|file| folder.join(file)));
        }
        let with_state = |file: PathBuf| {
            let state = state(&file);
            (file, state)
        };
        Sources(sources.into_iter().map(with_state).collect())
    }
}

fn state(file: &Path) -> Option<(u64, SystemTime)> {
    let data = fs::metadata(file).ok()?;
    Some((data.len(), data.modified().ok()?))
}

fn answer(request: Request, edition: &Result<PathBuf, Faults>) -> io::Result<()> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        return request.respond(plain(405, "GET or HEAD, please\n"));
    }
    let pages = match edition {
        Ok(pages) => pages,
        Err(faults) => return request.respond(plain(500, &format!("{faults}\n"))),
    };
    let body = page_file(request.url()).and_then(|file| {
        let body = fs::read(pages.join(&file)).ok()?;
        Some((body, content_type(&file)))
    });
    match body {
        Some((body, kind)) => {
            request.respond(Response::from_data(body).with_header(header("Content-Type", kind)))
        }
        None => request.respond(plain(404, "The book has no such page.\n")),
    }
}

/// The file that a request names, relative to the pages; never one outside of them.
fn page_file(url: &str) -> Option<PathBuf> {
    let path = decode(url.split(['?', '#']).next()?);
    let mut file = PathBuf::from(path.strip_prefix('/')?);
    if path.ends_with('/') {
        file.push("index.html");
    }
    let inside = file.components().all(|part| matches!(part, Component::Normal(_)));
    inside.then_some(file)
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("txt" | "snap") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn plain(status: u16, text: &str) -> Response<io::Cursor<Vec<u8>>> {
    Response::from_string(text)
        .with_status_code(status)
        .with_header(header("Content-Type", "text/plain; charset=utf-8"))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("our headers are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_leaves_the_pages() {
        for url in ["/../x", "/a/../../x", "/%2e%2e/x", "//etc/passwd", "x", "/%2fetc/passwd"] {
            assert_eq!(page_file(url), None, "{url}");
        }
    }

    #[test]
    fn folders_are_their_index() {
        assert_eq!(page_file("/"), Some("index.html".into()));
        assert_eq!(page_file("/a/?q#x"), Some("a/index.html".into()));
        assert_eq!(page_file("/a%20b.html"), Some("a b.html".into()));
    }
}
