//! The kernel's command line, which is measured with the kernel (PCR1): where the parent is.

use std::fs::File;
use std::io::Read;

use cloister_transport::ANY_CID;

use super::Error;
use crate::limits;

const PATH: &str = "/proc/cmdline";

/// Our one parameter.
const PARENT_CID: &str = "cloister.parent_cid";

/// CIDs that are nobody's parent: the hypervisor's, and this very machine's.
const TAKEN_CIDS: [u32; 2] = [0, 1];

/// The parent's CID: what `cloister.parent_cid` says, and AWS's where it says nothing.
pub(super) fn parent_cid() -> Result<u32, Error> {
    let mut text = String::new();
    let file = File::open(PATH).map_err(Error::CommandLine)?;
    file.take(limits::MAX_COMMAND_LINE_BYTES).read_to_string(&mut text).map_err(Error::CommandLine)?;
    parse(&text)
}

fn parse(text: &str) -> Result<u32, Error> {
    let refused = |problem| Error::Parameter { parameter: PARENT_CID, problem };
    let mut said = text.split_ascii_whitespace().filter_map(|word| match word.split_once('=') {
        Some((name, value)) => (name == PARENT_CID).then_some(value),
        None => (word == PARENT_CID).then_some(""),
    });
    let Some(cid) = said.next() else { return Ok(limits::AWS_PARENT_CID) };
    if said.next().is_some() {
        return Err(refused("is there twice"));
    }
    if cid.is_empty() || !cid.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused("is not a number"));
    }
    match cid.parse() {
        Ok(cid) if cid != ANY_CID && !TAKEN_CIDS.contains(&cid) => Ok(cid),
        _ => Err(refused("is no parent's CID: 2 to 4294967294 are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn without_the_parameter_the_parent_is_where_aws_has_it() {
        assert_eq!(parse("reboot=k panic=30 pci=off nomodules console=ttyS0\n").unwrap(), 3);
        assert_eq!(parse("").unwrap(), 3);
        assert_eq!(parse("cloister.parent_cids=9 xcloister.parent_cid=9").unwrap(), 3, "others' parameters");
    }

    #[test]
    fn the_parameter_names_another_parent() {
        assert_eq!(parse("reboot=t cloister.parent_cid=2 quiet\n").unwrap(), 2);
        assert_eq!(parse("cloister.parent_cid=4294967294").unwrap(), u32::MAX - 1);
    }

    #[test]
    fn what_is_no_parents_cid_is_refused() {
        for cid in ["0", "1", "4294967295", "4294967296"] {
            assert!(refused(&format!("cloister.parent_cid={cid}")).contains("no parent's CID"), "{cid}");
        }
        for cid in ["", "any", "-1", "+3", "0x3", "3,"] {
            assert!(refused(&format!("cloister.parent_cid={cid}")).contains("not a number"), "{cid:?}");
        }
        assert!(refused("cloister.parent_cid").contains("not a number"));
        assert!(refused("cloister.parent_cid=3 cloister.parent_cid=3").contains("twice"));
    }
}
