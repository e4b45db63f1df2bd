"""What a page reads of an answer, by a second reader."""

import base64
import json
import re
import struct
import zlib

import numpy as np
import pytest

from vizcnn.explorer.answers import Answer, Content, write_json


def test_arrays_begin_where_a_typed_array_may():
    content = Content()
    places = [content.add(b"12345"), content.add_array(np.arange(3), "u2")]
    places.append(content.add_array(np.array([0.5, -2.0]), "f4"))
    data = content.join()
    assert [place[0] % 4 for place in places[1:]] == [0, 0]
    assert struct.unpack_from("<3H", data, places[1][0]) == (0, 1, 2)
    assert struct.unpack_from("<2f", data, places[2][0]) == (0.5, -2.0)
    assert [length for _, length in places] == [5, 6, 8]


def test_reply_and_script_say_the_same():
    answer = Answer({"name": "é</script>\u2028", "value": 0.1}, bytes(range(256)))
    reply = answer.to_bytes()
    end = 4 + struct.unpack("<I", reply[:4])[0]
    assert json.loads(reply[4:end]) == dict(answer.fields)
    assert reply[end:] == answer.content
    script = answer.to_script("a/b</script>")
    assert "</" not in script and script.isascii()
    found = re.fullmatch(r'vizcnnExplorer\.receive\((".*"),"([A-Za-z0-9+/=]*)"\);\n', script)
    assert found and json.loads(found[1]) == "a/b</script>"
    assert zlib.decompress(base64.b64decode(found[2])) == reply


def test_what_json_has_not_is_refused():
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(float("nan"))
