"""Small helpers around asyncio: tasks, deadlines, retry, batcher."""
