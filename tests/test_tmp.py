import dataclasses

import pytest


@pytest.mark.parametrize("lr,hl", [(3e-3, 3e-2), (5e-3, 1e-1), (1e-2, 5e-2)])
def test_x(toy_pack, tmp_path, lr, hl):
    from pipelines.evaluate import evaluate
    from pipelines.finetune import FinetuneOptions, finetune
    from pipelines.predict import make_predictor

    m = toy_pack.manifest
    m = m.model_copy(update={"student": m.student.model_copy(update={"learning_rate": lr, "head_learning_rate": hl})})
    pack = dataclasses.replace(toy_pack, manifest=m)
    st = finetune(pack, tmp_path, FinetuneOptions(epochs=2))
    p = make_predictor(toy_pack, st)
    print(lr, hl)
    for split in ("train", "test"):
        e = evaluate(p, st.id, split)
        print(split, {t: (round(v.score, 3), round(v.majority, 3), v.n) for t, v in e.scores["samples"].items()})
