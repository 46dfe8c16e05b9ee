r"""How much the words of chains hang on what looks have shown, under each view of filters=evidence.

    python experiments/chains/dependency.py runs/.../policy [--images 120]

Chains are drawn as evaluations draw them. Of the tokens written after a look: their mean dependency (e^d - d - 1, in
nats to second order), the share of it that the tenth with most has, and the share of tokens with more than 1e-3, which
is a change of the log-probability by 0.045.
"""

from __future__ import annotations

import argparse

import torch
from hydra.utils import instantiate

from zoom_iqa.config.composition import composed
from zoom_iqa.config.training_run import check
from zoom_iqa.learning.signals import SignalPasses
from zoom_iqa.learning.token_table import build_table
from zoom_iqa.objectives.filters.evidence import VIEWS, EvidenceFilter
from zoom_iqa.objectives.signals import OLD
from zoom_iqa.objectives.views import hidden_mark
from zoom_iqa.policy.log_probabilities import Likelihood
from zoom_iqa.policy.vision_cache import VisionCache
from zoom_iqa.rollout.collect import collect

NOTABLE = 1e-3


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("--images", type=int, default=120)
    args = parser.parse_args()
    torch.set_num_threads(1)
    asked = ["+experiment=deepsight_quickstart", f"policy.path={args.policy}", f"data.test.size={args.images}"]
    cfg = composed("train", [*asked, "paths.run_dir=unused"])
    check(cfg)
    policy = instantiate(cfg.policy)
    policy.model.eval()
    sampling = instantiate(cfg.evaluator.sampling)
    features = VisionCache(model=policy.model, capacity=cfg.machine.features_capacity)
    engine = instantiate(cfg.rollout)(policy=policy, sampling=sampling, features=features)
    task, data = instantiate(cfg.task), instantiate(cfg.data.test)
    sessions = [task.open(data[index], index=0, seed=index) for index in range(len(data))]
    rollouts = collect(sessions, engines={"policy": engine})
    views = {str(name): view for name, view in VIEWS.items()}
    table = build_table(rollouts, torch.zeros(len(rollouts)), policy=policy, views=views)
    likelihood = Likelihood(policy=policy, temperature=1.0, features=None, logit_chunk=64)
    passes = SignalPasses(policy=likelihood, reference=None, budget=8192)
    table = table.with_signals({OLD.name: passes.everywhere(table, OLD)})
    after_T = table.marks[hidden_mark("no_crop")]
    if not after_T.any():
        raise SystemExit(f"none of {len(rollouts)} chains looks; name a policy of +experiment=deepsight_quickstart")
    print(f"{len(rollouts)} chains, of which {sum(one.cropped for one in rollouts)} look; {int(after_T.sum())} tokens")
    for view in VIEWS:
        part = EvidenceFilter(view=view, top=0.4, most_nats=cfg.filters.evidence.most_nats, shaping=None)
        (signal,) = part.signals
        seen = table.with_signals({signal.name: passes.everywhere(table, signal)})
        every_T = torch.arange(len(after_T))
        found = part.dependency(seen.batch_of(every_T, torch.ones(len(every_T))))[after_T]
        most = found.sort(descending=True).values[: len(found) // 10].sum() / found.sum()
        notable = (found > NOTABLE).double().mean()
        print(f"{view}: mean {found.mean():.4f}, a tenth has {most:.1%}, above {NOTABLE}: {notable:.1%}")


if __name__ == "__main__":
    main()
