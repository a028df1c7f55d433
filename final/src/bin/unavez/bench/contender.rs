//! Who is compared, and by which name.

use serde::{Deserialize, Serialize};

/// A way to send a request and get its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Contender {
    Udp,
    UdpBatch,
    TcpEach,
    TcpFastOpen,
    TcpOpen,
    QuicEach,
    QuicOpen,
    Unavez,
    UnavezdShm,
    UnavezdSysv,
}

impl Contender {
    pub(super) const ALL: [Contender; 10] = [
        Contender::Udp,
        Contender::UdpBatch,
        Contender::TcpEach,
        Contender::TcpFastOpen,
        Contender::TcpOpen,
        Contender::QuicEach,
        Contender::QuicOpen,
        Contender::Unavez,
        Contender::UnavezdShm,
        Contender::UnavezdSysv,
    ];

    /// As files and `--filter` name it.
    pub(super) fn slug(self) -> &'static str {
        match self {
            Contender::Udp => "udp",
            Contender::UdpBatch => "udp-batch",
            Contender::TcpEach => "tcp-each",
            Contender::TcpFastOpen => "tcp-fast-open",
            Contender::TcpOpen => "tcp-open",
            Contender::QuicEach => "quic-each",
            Contender::QuicOpen => "quic-open",
            Contender::Unavez => "unavez",
            Contender::UnavezdShm => "unavezd-shm",
            Contender::UnavezdSysv => "unavezd-sysv",
        }
    }

    /// As people read it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Contender::Udp => "UDP echo",
            Contender::UdpBatch => "UDP echo, batched",
            Contender::TcpEach => "TCP, one each",
            Contender::TcpFastOpen => "TCP Fast Open",
            Contender::TcpOpen => "TCP, kept open",
            Contender::QuicEach => "QUIC, one each",
            Contender::QuicOpen => "QUIC, kept open",
            Contender::Unavez => "unavez",
            Contender::UnavezdShm => "unavezd, shm",
            Contender::UnavezdSysv => "unavezd, sysv",
        }
    }

    /// Whether it goes through the daemons of both hosts.
    pub(super) fn needs_daemons(self) -> bool {
        matches!(self, Contender::UnavezdShm | Contender::UnavezdSysv)
    }

    /// Whether all others are compared with it.
    fn is_reference(self) -> bool {
        matches!(self, Contender::Udp | Contender::UdpBatch | Contender::TcpEach)
    }

    /// Whether its figures say more than those of its like.
    pub(super) fn is_principal(self) -> bool {
        matches!(
            self,
            Contender::TcpEach
                | Contender::TcpOpen
                | Contender::QuicOpen
                | Contender::Unavez
                | Contender::UnavezdShm
        )
    }

    /// Whether it is this system, in one of its shapes.
    pub(super) fn is_unavez(self) -> bool {
        matches!(self, Contender::Unavez | Contender::UnavezdShm | Contender::UnavezdSysv)
    }

    /// Whether it keeps what it learns of the path from one message to the next.
    pub(super) fn keeps_its_path(self) -> bool {
        self.is_unavez() || matches!(self, Contender::TcpOpen | Contender::QuicOpen)
    }

    /// Whether it makes up for lost packets.
    pub(super) fn repairs(self) -> bool {
        !matches!(self, Contender::Udp | Contender::UdpBatch)
    }

    /// Those with one of these parts in their names, and those that all are compared with; all, if there
    /// are no parts.
    pub(super) fn chosen(parts: &[String]) -> Result<Vec<Contender>, String> {
        let named = Contender::named(parts)?;
        let chosen = |it: &Contender| parts.is_empty() || it.is_reference() || named.contains(it);
        Ok(Contender::ALL.into_iter().filter(chosen).collect())
    }

    /// Those with one of these parts in their names; each part must fit some.
    pub(super) fn named(parts: &[String]) -> Result<Vec<Contender>, String> {
        let fits = |part: &String, it: &Contender| it.slug().contains(part.as_str());
        if let Some(part) =
            parts.iter().find(|part| Contender::ALL.iter().all(|it| !fits(part, it)))
        {
            let names = Contender::ALL.map(Contender::slug).join(", ");
            return Err(format!(
                "--filter {part}: none is called so; allowed is a part of: {names}"
            ));
        }
        let named = |it: &Contender| parts.iter().any(|part| fits(part, it));
        Ok(Contender::ALL.into_iter().filter(named).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_files_are_those_of_the_filter() {
        // What JSON says is what `--filter` takes.
        for contender in Contender::ALL {
            assert_eq!(serde_json::to_value(contender).unwrap(), contender.slug());
        }
    }

    #[test]
    fn filter_takes_parts_of_names() {
        // One part, two that overlap, none, and one that fits nothing.
        let chosen = |parts: &[&str]| {
            let parts: Vec<String> = parts.iter().map(|part| part.to_string()).collect();
            Contender::chosen(&parts)
        };
        let references = [Contender::Udp, Contender::UdpBatch, Contender::TcpEach];
        let with = |more: &[Contender]| {
            let mut all = [&references, more].concat();
            all.sort_unstable();
            Ok(all)
        };
        assert_eq!(chosen(&["fast"]), with(&[Contender::TcpFastOpen]));
        assert_eq!(
            chosen(&["tcp-o", "open"]),
            with(&[Contender::TcpFastOpen, Contender::TcpOpen, Contender::QuicOpen])
        );
        assert_eq!(chosen(&["udp"]), with(&[]));
        assert_eq!(chosen(&[]).unwrap().len(), Contender::ALL.len());
        assert!(chosen(&["tcp", "sctp"]).unwrap_err().contains("--filter sctp: none"));
    }
}
