"""Words that arguments of functions are made of."""

from __future__ import annotations

CITIES = (
    "Paris", "London", "Tokyo", "Berlin", "Rome", "Madrid", "Oslo", "Cairo", "Lima", "Boston", "Chicago",
    "Sydney", "Toronto", "Mumbai", "Seoul", "Dublin", "Vienna", "Prague", "Athens", "Lisbon", "Zurich", "Milan",
    "Denver", "Seattle", "Austin", "Nairobi", "Jakarta", "Bangkok", "Munich", "Warsaw",
)  # fmt: skip
NAMES = (
    "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Henry", "Ivy", "Jack", "Karen", "Leo", "Maria",
    "Nina", "Oscar", "Paul", "Rosa", "Sam", "Tina", "Victor",
)  # fmt: skip
LANGUAGES = ("French", "Spanish", "German", "Italian", "Japanese", "Portuguese", "Dutch", "Polish", "Korean", "Greek")
WORDS = (
    "house", "water", "friend", "bread", "night", "school", "river", "garden", "window", "morning", "apple",
    "bridge", "candle", "doctor", "engine", "forest",
)  # fmt: skip
CURRENCIES = ("USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD", "INR")
COMPANIES = ("Apple", "Microsoft", "Tesla", "Amazon", "Google", "Intel", "Nike", "Sony", "Toyota", "Netflix")
TOPICS = (
    "electric cars", "solar energy", "healthy breakfasts", "cheap laptops", "hiking trails", "jazz history",
    "space travel", "garden tools", "vegan recipes", "chess openings",
)  # fmt: skip
SONGS = ("Imagine", "Yesterday", "Hallelujah", "Thriller", "Waterloo", "Wonderwall", "Africa", "Hey Jude")
ITEMS = ("milk", "eggs", "coffee", "a lamp", "batteries", "apples", "rice", "paper towels", "shampoo", "bread")
ROOMS = ("kitchen", "bedroom", "living room", "office", "bathroom", "garage")
TASKS = ("call the dentist", "water the plants", "pay the rent", "buy a gift", "send the report", "feed the cat")
