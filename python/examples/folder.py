"""A folder of files with asyncio, many questions at once: python folder.py FOLDER [ADDRESS]"""

import asyncio
import sys
from pathlib import Path

import simile


async def main(folder: Path, *address: str) -> None:
    async with simile.connect_async(*address) as client:
        await client.create_collection("folder")
        ingest = client.ingest("folder", folder, label=f"ingest of {folder.name}")
        async for result in ingest:
            print(result.id, "refused: " + str(result.error) if result.error else f"{result.parts} parts")
        print(ingest.tally)

        questions = ["how do I keep a boat dry", "when is high water"]
        answers = await asyncio.gather(*(client.search("folder", question, limit=1) for question in questions))
        for question, answer in zip(questions, answers):
            print(f"{question}? {answer[0].id}" if answer else f"{question}? nothing")
        await client.delete_collection("folder")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:3]))
