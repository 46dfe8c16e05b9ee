r"""Evaluation folders of run.sh -> results.csv, and their tables over seeds on the screen.

python experiments/human/collect.py runs/human [--resamples 1000]
"""

from __future__ import annotations

from pathlib import Path

from zoom_iqa.reports.study import COMPARED, effect_table, figure_table, read_study, study_arguments, write_runs

HERE = Path(__file__).parent
FIGURES = {
    "SRCC": "srcc",
    "of single answers": "srcc_single",
    "of expected ratings": "srcc_expected",
    "from the words": "srcc_caption",
    "gap": "srcc_gap_caption",
    "from the words, struck": "srcc_caption_struck",
    "gap, struck": "srcc_gap_caption_struck",
    "ROUGE-1 precision": "rouge1.precision",
    "recall": "rouge1.recall",
    "F1": "rouge1.f1",
    "people among themselves, F1": "rouge1_people.f1",
    "words": "words",
    "well-formed": "format_rate",
    "words that can be asked about": "asked_caption",
    "ratings from words that can be read": "valid_rate_caption",
    "PLCC": "plcc",
    "PLCC from the words": "plcc_caption",
    "gap, lowest": "srcc_gap_interval_caption.low",
    "gap, highest": "srcc_gap_interval_caption.high",
}
ARMS = ("sft", "accuracy", "consistency", "human")
EFFECTS = (
    ("GRPO, accuracy alone", "accuracy", "sft"),
    ("self-consistency, beside accuracy", "consistency", "accuracy"),
    ("human text, beside both", "human", "consistency"),
    ("self-consistency and human text", "human", "accuracy"),
)


def main() -> None:
    asked = study_arguments(__doc__, out=HERE)
    arms = read_study(asked.runs, within="judged")
    write_runs(arms, asked.out / "results.csv", list(FIGURES.values()))
    print(figure_table(arms, FIGURES, dict(zip(ARMS, ARMS, strict=True))), end="\n\n")
    print(effect_table(arms, EFFECTS, n_resamples=asked.resamples, figures=(*COMPARED, "srcc_caption")))


if __name__ == "__main__":
    main()
