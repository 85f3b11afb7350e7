"""The normal use of the openai package for embeddings, asked of a server of simile: URL."""

import math
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1], api_key="none", max_retries=3)
MODEL = "all-minilm-l6-v2"
TEXTS = ["The cat chases the mouse", "The kitten hunts rodents", "I like ham sandwiches"]


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.hypot(*a) / math.hypot(*b)


assert MODEL in [model.id for model in client.models.list()]
# The package asks for base64 unless told otherwise, and decodes it.
answer = client.embeddings.create(model=MODEL, input=TEXTS)
vectors = [one.embedding for one in answer.data]
assert [one.index for one in answer.data] == [0, 1, 2] and answer.model == MODEL
assert all(len(vector) == 384 for vector in vectors)
assert abs(cosine(vectors[0], vectors[1]) - 0.622) < 0.01
assert abs(cosine(vectors[0], vectors[2])) < 0.1
assert answer.usage.prompt_tokens == answer.usage.total_tokens > 12
floats = client.embeddings.create(model=MODEL, input=TEXTS[0], encoding_format="float")
assert len(floats.data) == 1
assert all(abs(a - b) < 1e-5 for a, b in zip(floats.data[0].embedding, vectors[0]))
short = client.embeddings.create(model=MODEL, input=TEXTS[0], dimensions=64).data[0].embedding
assert len(short) == 64 and abs(math.hypot(*short) - 1) < 1e-5
assert cosine(short, vectors[0][:64]) > 0.9999


def refused(kind, words, **request):
    try:
        client.embeddings.create(**request)
    except kind as error:
        assert words in str(error), error
    else:
        raise AssertionError(f"not refused: {words}")


refused(openai.NotFoundError, "no model is called", model="none", input="cat")
refused(openai.BadRequestError, "expected 1 to 384", model=MODEL, input="cat", dimensions=385)
refused(openai.BadRequestError, "not as tokens", model=MODEL, input=[1, 2, 3])
refused(openai.BadRequestError, "expected 1 to 2048 texts, got 0", model=MODEL, input=[])
print("done")
