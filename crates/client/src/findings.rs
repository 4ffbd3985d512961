//! What findings' codes mean, in words for whoever reads a score.

/// A finding in a sentence's part; nothing for a code of a later enclave's.
pub fn finding_words(code: &str) -> Option<&'static str> {
    WORDS.into_iter().find(|(known, _)| *known == code).map(|(_, words)| words)
}

/// What findings mean, each as [`finding_words`] has it; the code itself where it is a later enclave's.
pub fn findings_in_words(codes: &[String]) -> Vec<String> {
    codes.iter().map(|code| finding_words(code).unwrap_or(code).to_owned()).collect()
}

/// Every code of docs/quality.md.
const WORDS: [(&str, &str); 20] = [
    ("burned-in-annotation", "the file says that text is burned into the picture"),
    ("cut-off-bottom", "the breast goes on below the picture"),
    ("cut-off-far", "the breast goes on past the edge away from the chest: the nipple may be missing"),
    ("cut-off-top", "the breast goes on above the picture, which a craniocaudal view should not"),
    ("drawn-line", "a straight line of one grey lies on the breast: an annotation, or a dead line of the detector"),
    ("edge-line", "a line or strip runs along an edge of the picture"),
    ("lit-background", "more than markers is lit beside the breast: fog, text, or a film's edge"),
    ("lossy-compression", "the file says that its pixels were compressed with loss"),
    ("low-contrast", "the breast has few greys"),
    ("missing-L-CC", "the exam came without L-CC, so that the left breast has no score"),
    ("missing-L-MLO", "the exam came without L-MLO, so that the left breast has no score"),
    ("missing-R-CC", "the exam came without R-CC, so that the right breast has no score"),
    ("missing-R-MLO", "the exam came without R-MLO, so that the right breast has no score"),
    ("mixed-patients", "the files are of more than one patient"),
    ("mixed-studies", "the files are of more than one study"),
    ("saturated", "part of the breast has the highest grey: nothing shows there"),
    ("secondary-capture", "the file is a scan or an export, not a detector's image"),
    ("small-breast", "the breast takes little of the picture"),
    ("view-doubtful", "the picture looks like the other direction: check whether it is CC or MLO"),
    ("view-in-patient-orientation", "the file names its view where an orientation belongs"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_of_the_documentation_has_words_and_the_other_way_around() {
        const PAGE: &str = include_str!("../../../docs/quality.md");
        let code = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(code, _)| code);
        let (_, table) = PAGE.split_once("## Findings").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let mut documented: Vec<_> = table.lines().filter_map(code).collect();
        documented.sort_unstable();
        assert_eq!(documented, WORDS.map(|(code, _)| code));
        assert_eq!(finding_words("tea-leaves"), None);
    }
}
