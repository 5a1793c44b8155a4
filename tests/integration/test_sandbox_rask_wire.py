"""Rask's stand-in: tokens, refusals, money, limits, segments, and every fault."""

import base64
import json
from typing import Any

import aiohttp
import pytest
from tests.integration.rask_customer import FULL, LIBRARY, PREVIEW, PROJECTS, TOKEN, RaskCustomer, rask

FORM = {"grant_type": "client_credentials", "client_id": "sandbox", "client_secret": "sandbox"}
SCOPES = "api/source api/input api/output api/limit"


async def token(client: RaskCustomer, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any]:
    return await client.base.send("POST", TOKEN, data=form, headers=headers)


def basic(id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{id}:{secret}".encode()).decode()}


async def test_a_token_comes_for_a_basic_header_and_for_a_secret_in_the_form() -> None:
    async with rask() as client:
        given = {"grant_type": "client_credentials", "scope": SCOPES}
        answers = [await token(client, basic("sandbox", "sandbox"), **given), await token(client, **FORM)]
        for status, told in answers:
            assert (status, sorted(told)) == (200, ["access_token", "expires_in", "token_type"])
            assert (told["token_type"], told["expires_in"]) == ("Bearer", 3600)
            client.token = told["access_token"]
            assert (await client.send("GET", "/rask/v2/credits"))[0] == 200
        assert len(client.sandbox.log("rask", "token")) == client.bill()["tokens"] == 3
        assert "secret" not in json.dumps(client.sandbox.log())


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_secret": "no"}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_id": ""}, "invalid_client"),
        ({"scope": "api/source api/everything"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": ""}, "invalid_request"),
    ],
)
async def test_a_token_request_is_refused_by_name(changes: dict[str, str], error: str) -> None:
    async with rask() as client:
        assert await token(client, **{**FORM, **changes}) == (400, {"error": error})


async def test_other_ways_to_be_refused_a_token() -> None:
    async with rask(settings={"token": "3/min"}) as client:
        for headers in (basic("sandbox", "x"), {"Authorization": "Basic ?"}, basic("x", "")):
            form = {**FORM, "client_id": "x"}
            assert await token(client, headers, **form) == (400, {"error": "invalid_client"})
        assert await client.base.send("POST", TOKEN, json=FORM) == (400, {"error": "invalid_request"})
        client.sandbox.inject("refused", vendor="rask", route="token")
        assert await token(client, **FORM) == (400, {"error": "invalid_grant"})
        client.sandbox.inject("server_error", vendor="rask", route="token", status=500)
        assert (await token(client, **FORM))[0] == 500
        assert [(await token(client, **FORM))[0] for _ in range(3)] == [200, 200, 429]


async def test_a_token_ends_after_its_hour_and_when_it_is_revoked() -> None:
    async with rask() as client:

        async def look() -> tuple[int, Any]:
            return await client.send("GET", "/rask/v2/credits")

        client.clock.advance(3599)
        assert (await look())[0] == 200
        client.clock.advance(1)
        status, told = await look()
        assert (status, list(told)) == (401, ["detail"])
        await client.new_token()
        client.sandbox.inject("revoked", vendor="rask")
        assert [(await look())[0], (await look())[0]] == [401, 401]
        await client.new_token()
        await client.base.send("POST", "/_sandbox/settings", json={"rask": {"token_generation": 1}})
        assert (await look())[0] == 401
        await client.new_token()
        assert (await look())[0] == 200
        client.token = "made-up"
        assert (await look())[0] == 401
        assert (await client.base.send("GET", "/rask/v2/credits"))[0] == 401


async def test_a_tokens_life_is_told_on_the_clients_clock_and_never_too_long() -> None:
    async with rask(speed=600) as client:
        assert (await token(client, **FORM))[1]["expires_in"] == 6
    async with rask(speed=36_000) as client:
        assert (await token(client, **FORM))[1]["expires_in"] == 1


async def test_another_client_is_another_account_and_sees_nothing_of_the_first() -> None:
    async with rask(fixed_size=20_000) as client:
        id = await client.ready()
        media = await client.linked()
        await client.new_token("sandbox-b")
        for method, path in (
            ("GET", f"{LIBRARY}/{media}"),
            ("GET", f"{PROJECTS}/{id}"),
            ("PATCH", f"{PROJECTS}/{id}"),
            ("POST", f"{PROJECTS}/{id}/generate"),
            ("GET", f"{PROJECTS}/{id}/voices"),
            ("GET", f"{PROJECTS}/{id}/transcription"),
            ("PUT", f"{PROJECTS}/{id}/check_face"),
            ("GET", f"{PROJECTS}/{id}/lipsync"),
            ("PUT", f"{PROJECTS}/{id}/lipsync"),
            ("GET", "/rask/v3/projects"),
        ):
            status, told = await client.send(method, path, json=FULL if method in ("PUT", "PATCH") else None)
            assert (status, list(told)) == (404, ["detail"]), path
        assert (await client.send("POST", PROJECTS, json={"video_id": media, "dst_lang": "de-de"}))[0] == 404
        assert (await client.good("GET", PROJECTS)) == {"total": 0, "offset": 0, "projects": []}
        await client.run(await client.ready())
        assert (client.bill("rask-b")["creates"], client.bill()["creates"]) == (1, 0)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["video_id", "dst_lang"]),
        ({"video_id": "x", "dst_lang": "de_DE"}, ["dst_lang"]),
        ({"video_id": "x", "dst_lang": "de-de", "src_lang": "en-us"}, ["src_lang"]),
        ({"video_id": 7, "dst_lang": "de-de", "num_speakers": True}, ["video_id", "num_speakers"]),
        ({"video_id": "x", "dst_lang": "de-de", "num_speakers": 0, "name": []}, ["name", "num_speakers"]),
        ([], [None]),
    ],
)
async def test_a_wrong_body_is_a_422_with_a_list(body: Any, fields: list[str | None]) -> None:
    async with rask() as client:
        status, told = await client.send("POST", PROJECTS, json=body)
        assert status == 422
        assert [(["body", name] if name else ["body"]) for name in fields] == [each["loc"] for each in told["detail"]]
        assert all(sorted(each) == ["loc", "msg", "type"] for each in told["detail"])


async def test_media_are_refused_for_a_wrong_part_kind_or_link() -> None:
    async with rask() as client:
        assert (await client.sent(b"x", part="file"))[0] == 422
        assert (await client.sent(b"x", kind="film"))[0] == 422
        assert (await client.send("POST", LIBRARY, json={}))[0] == 422
        for body in ({}, {"link": "ftp://x"}, {"link": "https://x.test/a.mp4", "kind": "film"}):
            assert (await client.send("POST", f"{LIBRARY}/link", json=body))[0] == 422
        assert (await client.send("POST", f"{LIBRARY}/link", data=b"{"))[0] == 422
        assert (await client.send("GET", f"{LIBRARY}/none"))[0] == 404


@pytest.mark.parametrize("status", [400, 409])
async def test_the_paid_call_is_refused_where_the_project_is_not_ready(status: int) -> None:
    async with rask(fixed_size=20_000, settings={"refused_status": status}) as client:
        id = await client.project()

        async def refused(flags: dict[str, Any] = FULL) -> bool:
            got, told = await client.run(id, flags)
            return got == status and isinstance(told["detail"], str)

        assert await refused()
        assert (await client.dubbed(id))["status"] == "merging_done"
        assert await refused()
        client.clock.advance(6)
        assert (await client.run(id, PREVIEW))[0] == 200
        assert await refused()
        client.clock.advance(60)
        assert await refused(PREVIEW)
        assert (await client.run(id))[0] == 200
        client.clock.advance(60)
        assert await refused()
        bill = client.bill()
        assert (bill["creates"], bill["previews"], bill["refused"], bill["duplicates"]) == (1, 1, 5, 0)


async def test_flags_may_be_booleans_or_their_pythonic_names_and_are_noted_as_they_came() -> None:
    async with rask(fixed_size=20_000) as client:
        id = await client.ready()
        for wrong in ("true", "yes", 1, 0, [], "FALSE"):
            for name in FULL:
                status, told = await client.run(id, {**FULL, name: wrong})
                assert (status, told["detail"][0]["loc"]) == (422, ["body", name])
        sent = {"is_multiple_speakers": "True", "is_free_lipsync": "True"}
        assert (await client.run(id, sent))[0] == 200
        client.clock.advance(60)
        assert (await client.run(id, {"is_multiple_speakers": None}))[0] == 200
        received = [row["received"] for row in client.sandbox.log("rask", "create")]
        assert received[-2:] == [sent, {"is_multiple_speakers": None}]
        assert received[0] == {"is_multiple_speakers": "true", "is_free_lipsync": False}
        assert (client.bill()["previews"], client.bill()["creates"]) == (1, 1)


@pytest.mark.parametrize("status", [402, 403])
async def test_minutes_run_out_for_dubs_runs_generates_and_previews(status: int) -> None:
    settings = {"no_minutes_status": status, "credits": 3.0}
    async with rask(fixed_size=20_000, settings=settings) as client:
        first, second = await client.ready(), await client.ready(dst_lang="fr-fr")
        assert (await client.run(first))[0] == 200
        assert (await client.run(second))[0] == status
        assert (await client.run(second, PREVIEW))[0] == 200
        client.clock.advance(60)
        third_media = await client.linked()
        assert (await client.send("POST", PROJECTS, json={"video_id": third_media, "dst_lang": "it-it"}))[0] == status
        path = f"{PROJECTS}/{second}/transcription/segments"
        added = {"dst": {"text": "Neu", "lang": "fr-fr"}, "start": "00:00:00,000", "end": "00:00:01,000"}
        await client.good("POST", path, json={"segments": [added]})
        client.clock.advance(5)
        assert (await client.send("POST", f"{PROJECTS}/{second}/generate"))[0] == status
        client.sandbox.configure("rask", credits=4.0)
        assert (await client.send("POST", f"{PROJECTS}/{second}/generate"))[0] == 200
        assert (await client.dubbed(second))["status"] == "merging_done"
        await client.passing(60)
        assert (await client.dubbed(second))["status"] == "merging_done"
        got, told = await client.run(second, PREVIEW)
        assert (got, list(told)) == (status, ["detail"])
        credits = await client.good("GET", "/rask/v2/credits")
        assert credits["minutes"] == {"total": 4, "used": 4}
        assert credits["lipsync_free_minutes"] == {"total": 1, "used": 1}


async def test_requests_over_the_rate_are_told_when_to_come_again() -> None:
    async with rask(settings={"all": "120/min"}) as client:
        codes = [(await client.send("GET", "/rask/v2/credits"))[0] for _ in range(121)]
        assert codes == [200] * 120 + [429]
        async with client.base.http.get(f"{client.base.address}/rask/v2/credits", headers=client.headers) as reply:
            assert (reply.status, reply.headers["Retry-After"]) == (429, "60")
            assert list(await reply.json()) == ["detail"]
        assert (client.bill()["peak"]["all"], client.bill()["throttled_by"]["all"]) == (120, 2)
        client.clock.advance(60)
        assert (await client.send("GET", "/rask/v2/credits"))[0] == 200


async def test_dubs_and_lip_syncs_under_way_can_be_limited() -> None:
    settings = {"concurrency": 1, "dub_concurrency": 2}
    async with rask(fixed_size=20_000, settings=settings) as client:
        media = await client.linked()
        body = {"video_id": media, "dst_lang": "de-de"}
        made = [await client.send("POST", PROJECTS, json=body) for _ in range(3)]
        assert [status for status, _ in made] == [200, 200, 429]
        client.clock.advance(100)
        assert [(await client.run(told["id"]))[0] for _, told in made[:2]] == [200, 429]
        assert client.bill()["throttled_by"]["seats"] == 1


async def test_projects_are_listed_newest_first_by_page_and_name() -> None:
    async with rask(fixed_size=20_000, settings={"visible_seconds": 5.0}) as client:
        media = await client.linked()
        for name in ("one", "two", "Two again"):
            await client.good("POST", PROJECTS, json={"video_id": media, "dst_lang": "de-de", "name": name})
        assert (await client.good("GET", PROJECTS))["total"] == 0
        client.clock.advance(5)
        told = await client.good("GET", PROJECTS, params={"limit": 2})
        assert (told["total"], [each["name"] for each in told["projects"]]) == (3, ["Two again", "two"])
        slim = ["created_at", "id", "name", "source_type", "status", "status_updated_at"]
        assert sorted(told["projects"][0]) == slim
        told = await client.good("GET", PROJECTS, params={"offset": 2})
        assert [each["name"] for each in told["projects"]] == ["one"]
        assert (await client.good("GET", PROJECTS, params={"name": "two"}))["total"] == 2
        assert (await client.send("GET", PROJECTS, params={"limit": "x"}))[0] == 422


async def test_segments_can_be_sent_read_added_changed_and_dropped() -> None:
    async with rask(fixed_size=20_000) as client:
        said = {"src": {"text": "Hi", "lang": "en"}, "speaker": "SPEAKER_01"}
        sent = [{**said, "start": "00:00:00,000", "end": "00:00:05,500"},
                {**said, "start": "00:00:06,000", "end": "00:00:11,000"}]  # fmt: skip
        for wrong in ({"start": "0:00:01"}, {"end": "00:00:00,000"}, {"speaker": "speaker_1"}, {"src": {"text": 1}},
                      {"src": None}, {"speaker": None}):  # fmt: skip
            body = {"segments": [{**sent[0], **wrong}, sent[1]]}
            assert (await client.send("POST", "/rask/v2/transcriptions", json=body))[0] == 422, wrong
        transcript = await client.good("POST", "/rask/v2/transcriptions", json={"segments": sent})
        id = await client.project(transcript_id=transcript["id"])
        path = f"{PROJECTS}/{id}/transcription"
        assert (await client.send("DELETE", f"{path}/segments/x"))[0] == 404
        told = await client.dubbed(id)
        assert (told["num_speakers"], list(told["voice"])) == (1, ["SPEAKER_01"])
        segments = (await client.good("GET", path))["segments"]
        assert [each["status"] for each in segments] == ["done", "done"]
        assert (await client.good("GET", path, params={"segment_ids": segments[1]["id"]}))["segments"] == segments[1:]
        voices = await client.good("GET", f"{PROJECTS}/{id}/voices")
        assert sorted(voices[0]) == ["gender", "id", "label", "sample_src"]
        body = {"voice": {"SPEAKER_01": voices[1]["id"]}, "name": "new", "num_speakers": None}
        patched = await client.good("PATCH", f"{PROJECTS}/{id}", json=body)
        assert (patched["status"], patched["name"], patched["voice"]) == ("voice_edited", "new", body["voice"])
        assert (await client.send("POST", f"{PROJECTS}/{id}/generate"))[0] == 400
        assert (await client.send("PATCH", f"{PROJECTS}/{id}", json={"voice": {"SPEAKER_01": "x"}}))[0] == 422
        client.clock.advance(5)
        assert (await client.good("GET", path))["segments"][0]["status"] == "updated"
        assert (await client.good("DELETE", f"{path}/segments/{segments[0]['id']}")) == {"id": segments[0]["id"]}
        await client.good("POST", f"{PROJECTS}/{id}/generate")
        assert client.bill()["dub_minutes"] == 2
        assert (await client.send("PATCH", f"{path}/segments", json={"segments": [{}]}))[0] == 422


async def test_an_srt_file_becomes_a_transcript() -> None:
    async with rask() as client:
        form = aiohttp.FormData()
        cues = "1\n00:00:00,000 --> 00:00:02,000\nHello\nthere\n\n2\n00:00:02,500 --> 00:00:04,000\nBye\n"
        form.add_field("src", cues.encode(), filename="a.srt")
        told = await client.good("POST", "/rask/v2/transcriptions/srt", data=form, params={"src_lang": "en"})
        assert [each["src"]["text"] for each in told["segments"]] == ["Hello\nthere", "Bye"]
        assert told["segments"][1]["start"] == "00:00:02,500"
        empty = aiohttp.FormData({"src": "x"})
        assert (await client.send("POST", "/rask/v2/transcriptions/srt", data=empty))[0] == 422


# Faults


async def struck(client: RaskCustomer, route: str) -> tuple[str, str, dict[str, Any], str]:
    """Method, path and body of a call that costs minutes, and the bill's line that counts it."""
    if route == "project":
        return "POST", PROJECTS, {"video_id": await client.linked(), "dst_lang": "de-de"}, "projects"
    return "PUT", f"{PROJECTS}/{await client.ready()}/lipsync", FULL, "creates"


@pytest.mark.parametrize("route", ["project", "create"])
@pytest.mark.parametrize(
    ("fault", "booked", "seen"),
    [
        ("lost_reply", 1, aiohttp.ServerDisconnectedError),
        ("reset_before", 0, aiohttp.ClientOSError),
        ("truncated", 1, aiohttp.ClientPayloadError),
        ("server_error", 0, 503),
        ("server_error_booked", 1, 503),
        ("refused", 0, 503),
        ("too_many", 0, 429),
        ("html", 1, 200),
    ],
)
async def test_a_fault_strikes_a_paid_call_before_or_after_its_booking(
    route: str, fault: str, booked: int, seen: Any
) -> None:
    async with rask(fixed_size=20_000) as client:
        method, path, body, line = await struck(client, route)
        before = client.bill()[line]
        client.sandbox.inject(fault, vendor="rask", route=route, status=503)
        told = await client.once(method, path, body)
        assert told == seen or (isinstance(told, type) and issubclass(told, seen))
        assert client.bill()[line] - before == booked
        row = client.sandbox.log("rask", route)[-1]
        assert (row["fault"], row["job"] is not None) == (fault, bool(booked))


async def test_looks_show_unknown_statuses_for_a_while() -> None:
    async with rask(fixed_size=20_000) as client:
        made = await client.good("POST", f"{LIBRARY}/link", json={"link": client.base.media("short.mp4")})
        client.sandbox.inject("unknown_status", vendor="rask", route="media")
        assert (await client.good("GET", f"{LIBRARY}/{made['id']}"))["status"] == "scanning"
        id = await client.project()
        client.sandbox.inject("unknown_status", vendor="rask", route="dub", value="dreaming")
        assert [(await client.look(id))["status"] for _ in range(2)] == ["dreaming", "created"]
        await client.dubbed(id)
        client.clock.advance(6)
        await client.run(id)
        client.sandbox.inject("unknown_status", vendor="rask")
        assert [(await client.lipsync(id))["lipsync_task_status"] for _ in range(2)] == ["enhancing", "started"]


async def test_a_link_ends_and_another_look_gives_a_fresh_one() -> None:
    async with rask(fixed_size=20_000) as client:
        id = await client.ready()
        await client.run(id)
        url = (await client.synced(id))["lipsync_result_path"]
        client.sandbox.inject("expired_link")
        assert [(await client.base.get(url))[0] for _ in range(2)] == [403, 403]
        url = (await client.lipsync(id))["lipsync_result_path"]
        client.clock.advance(1)
        assert (await client.lipsync(id))["lipsync_result_path"] != url
        assert (await client.base.get(url))[0] == 200
        client.clock.advance(3600)
        await client.new_token()
        assert (await client.base.get(url))[0] == 403
        client.sandbox.configure("rask", fresh_links=False)
        url = (await client.lipsync(id))["lipsync_result_path"]
        client.clock.advance(1)
        assert (await client.lipsync(id))["lipsync_result_path"] == url


async def test_a_reset_forgets_projects_and_bills_and_leaves_tokens() -> None:
    async with rask(fixed_size=20_000) as client:
        id = await client.ready()
        client.sandbox.reset()
        assert (await client.send("GET", f"{PROJECTS}/{id}"))[0] == 404
        assert (client.bill()["projects"], client.bill()["credits"]) == (0, 0)
