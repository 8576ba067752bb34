"""What in-toto's and securesystemslib's own programs say of a signed statement: nothing, unless something is wrong.

Arguments: the key as Nix writes it, the envelope, the directory with the files that are its subjects.
"""

import base64
import hashlib
import json
import pathlib
import subprocess
import sys

from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

key, path, directory = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
name, digits = key.rsplit(":", 1)
public = SSlibKey(name, "ed25519", "ed25519", {"public": base64.b64decode(digits).hex()})

[line] = path.read_text().splitlines()
envelope = Envelope.from_dict(json.loads(line))
assert envelope.payload_type == "application/vnd.in-toto+json", envelope.payload_type
assert set(envelope.verify([public], 1)) == {name}

# Unknown members are errors.
value = json.loads(envelope.payload)
statement = Statement.copy_from_pb(ParseDict(value, Message()))
statement.validate()
assert statement.pb.predicate_type == "https://slsa.dev/provenance/v1", statement.pb.predicate_type
provenance = ParseDict(value["predicate"], Provenance())
definition, builder = provenance.build_definition, provenance.run_details.builder
assert definition.build_type and builder.id and len(definition.resolved_dependencies) > 1, provenance
assert not provenance.run_details.HasField("metadata"), "what differs between two builds"

stated = {}
for subject in statement.pb.subject:
    assert subject.name not in stated, subject.name
    stated[subject.name] = dict(subject.digest)
    if subject.name.startswith("/nix/store/"):
        nar = subprocess.run(["nix-hash", "--type", "sha256", subject.name], check=True, capture_output=True, text=True)
        assert stated[subject.name] == {"narSha256": nar.stdout.strip()}, subject.name
# These come later, or list the statement.
later = {"SHA256SUMS", "SHA256SUMS.sig", "VERIFY.md", path.name, path.name.removesuffix("l")}
for file in directory.rglob("*"):
    relative = str(file.relative_to(directory))
    if file.is_file() and relative not in later:
        assert stated.pop(relative) == {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}, relative
rest = {name for name in stated if not name.startswith("/nix/store/")}
assert rest == {"container image"}, rest
assert len(stated) > 1, "no output"
