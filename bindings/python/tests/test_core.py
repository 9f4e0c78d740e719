# SPDX-License-Identifier: Apache-2.0
"""Models, sessions, sources, quantization."""

import asyncio
import concurrent.futures
import pickle
import threading

import numpy as np
import pytest

import pronghorn


def test_devices_and_version():
    assert {"cpu", "reference"} <= {d.name for d in pronghorn.devices()}
    assert pronghorn.available_cores() >= 1
    assert pronghorn.__version__.count(".") == 2


def test_model_facts(colours, tmp_path):
    assert colours.input_shape == (32, 32, 3) and colours.classes == 4
    assert colours.input_dtype == np.float32 and not colours.quantized
    assert colours.labels == ["red", "green", "blue", "gray"] and colours.label_ids == []
    assert "Conv" in colours.describe()
    assert [o.channels for o in colours.outputs] == [4]
    colours.save(tmp_path / "c.onnx")
    assert pronghorn.Model(tmp_path / "c.onnx").to_bytes() == colours.to_bytes()


def test_run_batches_single_images_and_out(colours, pixels):
    with pronghorn.Session(colours) as session:
        y = session.run(pixels)
        assert y.shape == (6, 4) and y.dtype == np.float32
        assert y.argmax(1).tolist() == [0, 1, 2, 0, 1, 2]
        assert np.array_equal(session(pixels[0]), y[0])
        out = np.empty((6, 4), np.float32)
        assert session.run(pixels, out=out) is out and np.array_equal(out, y)
        info = colours.info
        floats = (pixels - np.array(info.preprocess_mean, np.float32)) / np.array(
            info.preprocess_std, np.float32)
        assert np.allclose(session.run(floats.astype(np.float32)), y, atol=1e-4)
        assert np.array_equal(session.run_all(pixels)[0], y)
    assert session.closed
    with pytest.raises(ValueError, match="closed"):
        session.run(pixels)


def test_arrays_in_any_layout(colours, pixels):
    session = pronghorn.Session(colours)
    want = session.run(pixels)
    assert np.array_equal(session.run(pixels[::-1]), want[::-1])
    assert np.array_equal(session.run(np.asfortranarray(pixels)), want)
    wide = np.zeros((6, 32, 64, 3), np.uint8)
    wide[:, :, ::2] = pixels
    assert np.array_equal(session.run(wide[:, :, ::2]), want)
    readonly = pixels.copy()
    readonly.setflags(write=False)
    assert np.array_equal(session.run(readonly), want)
    assert np.array_equal(session.run(memoryview(pixels)), want)


def test_submit_and_asyncio(colours, pixels):
    session = pronghorn.Session(colours)
    want = session.run(pixels)
    futures = [session.submit(image) for image in pixels]
    done, _ = concurrent.futures.wait(futures, timeout=60)
    assert len(done) == 6
    for future, row in zip(futures, want):
        assert np.array_equal(future.result(), row)

    async def both():
        return await asyncio.gather(session.run_async(pixels), session.run_async(pixels[:1]))

    all_of_them, first = asyncio.run(both())
    assert np.array_equal(all_of_them, want) and np.array_equal(first, want[:1])
    session.close()


def test_pickling_keeps_results(colours, pixels):
    session = pronghorn.Session(colours, device="cpu", threads=1)
    again = pickle.loads(pickle.dumps(session))
    assert np.array_equal(again.run(pixels), session.run(pixels))
    assert pickle.loads(pickle.dumps(colours)).labels == colours.labels


def test_many_threads_one_session(colours, pixels):
    session = pronghorn.Session(colours)
    want = session.run(pixels)
    wrong = []

    def work():
        for _ in range(20):
            if not np.array_equal(session.run(pixels), want):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_classify_keeps_order_and_names(colours, folder):
    source = pronghorn.Source(folder)
    with pronghorn.Session(colours) as session:
        results = list(session.classify(source))
    assert [r.name for r in results] == [source.name(i) for i in range(len(source))]
    for r in results:
        assert r.error is None and r.top[0].label == r.label
        assert len(r.top) == 4 and abs(sum(p.probability for p in r.top) - 1) < 1e-5
    session = pronghorn.Session(colours)
    repeated = session.classify(source.repeat(700))
    names = [r.index for r in repeated]
    assert names == list(range(700)) and repeated.stats["images"] == 700


def test_classify_broken_images(colours, folder):
    good = next(folder.rglob("*.png")).read_bytes()
    session = pronghorn.Session(colours)
    results = list(session.classify([good, b"no image", good]))
    assert [r.error is None for r in results] == [True, False, True]
    assert results[1].top == () and results[1].scores is None
    with pytest.raises(pronghorn.Error):
        list(session.classify([good, b"no image"], strict=True))
    stopped = session.classify(pronghorn.Source.memory([good]).repeat(100000))
    next(stopped)
    stopped.close()
    assert list(stopped) == []


def test_source_pixels_and_decode(folder, pixels):
    source = pronghorn.Source.files([folder / "red" / "0.png", folder / "green" / "1.png"])
    assert np.array_equal(source.pixels(1, "direct:32"), pixels[1])
    data = (folder / "red" / "0.png").read_bytes()
    assert np.array_equal(pronghorn.decode(data, "direct:32"), pixels[0])


def test_quantize_three_ways(colours, pixels, folder):
    want = pronghorn.Session(colours).run(pixels).argmax(1)
    seen = []
    by_files = pronghorn.quantize(colours, folder, progress=lambda d, t: seen.append((d, t)))
    assert seen and seen[-1][0] == seen[-1][1]
    assert by_files.report and by_files.table
    by_pixels = pronghorn.quantize(colours, pixels, report=False)
    assert by_files.model.input_dtype == np.uint8 and by_pixels.report.get("layers", []) == []
    for quantized in (by_files.model, by_pixels.model):
        assert np.array_equal(pronghorn.Session(quantized).run(pixels).argmax(1), want)
    floats = ((pixels - 120.0) / 60.0).astype(np.float32)
    by_tensors = pronghorn.quantize(colours, floats).model
    assert by_tensors.quantized and by_tensors.input_dtype == np.float32
    float_scores = pronghorn.Session(colours).run(floats)
    scores = pronghorn.Session(by_tensors).run(floats)
    assert np.array_equal(scores.argmax(1), float_scores.argmax(1))


def test_with_output_ends_the_model(colours, pixels):
    pools = [i for i, n in enumerate(colours.nodes) if n.op == "AveragePool"]
    features = colours.with_output(pools[-1] if pools else 0)
    assert pronghorn.Session(features).run(pixels).shape[0] == 6
    assert features.classes != colours.classes or not pools
