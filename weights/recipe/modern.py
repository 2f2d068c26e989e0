"""Plain sentences about today, which the old books can't have: patterns for teaching.py, `[a|b]` a choice, ‹a|b› the right word and a wrong one."""

from __future__ import annotations

import random

PEOPLE = "users people students readers scientists engineers teachers doctors children teams companies writers visitors researchers".split()
FIELDS = """science medicine education business history music art farming sport industry research travel health language""".split()
TOOLS = "a computer|a tablet|a phone|the internet|a camera|a robot|a website|an app|a spreadsheet|a map|a model|a chart".split("|")
PLANETS = "Mars Venus Jupiter Saturn Mercury Neptune".split()
CITIES = "London Paris Berlin Tokyo Madrid Rome Chicago Boston Oslo Vienna Cairo Toronto".split()
NAMES = "Maria Peter David Sarah Laura James Emily Daniel Sofia Robert Anna Michael".split()
NUMBERS = "two three four five six seven eight nine ten twelve twenty thirty".split()

PATTERNS = """
Data visualization [empowers|helps|allows|enables] {people} to [explore|understand|compare|see|discover|analyze|present|share] [patterns|trends|changes|differences|large amounts of data|complex information|results|relationships] [in|behind] [their|the] [data|numbers|results|work].
[Good|Clear|Simple|Interactive] [charts|graphs|maps|pictures] [help|allow] {people} [to see|to understand|to find|to remember] [what the numbers mean|patterns in the data|how things change over time|which parts belong together].
Data visualization is the [art|practice|science] of showing [data|information|numbers] [in pictures|as charts and maps|so that people can see what it means].
A [bar|line|pie] ‹chart|tree› shows [how many|how much|how often] [something happens|people agree|has changed over the years].
With [a good picture|one chart|a simple map], {people} can [see at once|understand quickly|explain to others] what [thousands of numbers|a long table|a long report] would hide.
[Artificial intelligence|Machine learning|A language model|A neural network] [is used to|can be used to|helps {people} to|learns to] [recognize faces|translate texts|recognize speech|answer questions|find patterns in data|write text|play games|drive cars|predict the weather].
Artificial ‹intelligence|water› is [changing|transforming|shaping] [the way|how] {people} [work|learn|live|travel|communicate|think about {field}].
[Many|Some|Most] {people} [use|work with|trust|study] [artificial intelligence|machine learning|computers|neural networks] [every day|at work|in {field}|to save time|to solve hard problems].
A language model [predicts|guesses|calculates] the next [word|token] [from the words before it|of a text|by looking at what came before].
A transformer is a [kind of|type of] neural network that [reads a text|looks at every word|uses attention] to [predict the next word|decide which words matter|understand the context].
Attention [lets|allows] [each word|every token|the model] [look at|look back at|use] the [words|tokens] that [came before|stand before it|matter most].
[A neural network|The model|The network] [learns|is trained|improves] by [reading many examples|making small corrections|comparing its answer with the right one|adjusting its weights].
The model was trained on [a large amount of text|thousands of books|millions of words] and can [write|complete|continue] [sentences|stories|a text].
[Machine|Deep] ‹learning|water› is a [part|branch] of artificial intelligence that [uses data|learns from examples|finds patterns without being told the rules].
The robot [picked up|carried|dropped|looked at|moved] the [box|glass|ball|chair] and [put it on the table|opened the door|waited for new instructions|stopped].
As the spaceship was [approaching|leaving|circling|passing] the [planet|moon|station|asteroid|red planet], the [crew|captain|pilot|computer] [looked out of the window|saw a bright light|prepared for the landing|sent a message to Earth|noticed something strange|checked the instruments].
The spaceship [landed on|flew past|left|reached|approached] {planet} after [a long journey|{number} months|many years|a difficult flight].
The [astronauts|crew] [walked on|landed on|studied|took pictures of] the [moon|planet|surface of {planet}] [for {number} days|before they returned to Earth|and collected stones|with great care].
{planet} is a [planet|world] [that moves around the sun|in our solar system|which can be seen at night|far from the Earth].
The [Earth|moon] moves around the ‹sun|street› [once a year|in a great circle|without ever stopping].
The [rocket|spaceship|satellite] [rose|climbed|flew] [into the sky|into space|above the clouds] with a [loud noise|bright flame|great roar].
From the [window|station|spaceship], the [Earth|planet] looked [like a blue ball|small and quiet|bright and beautiful].
A [telescope|satellite|space station] [allows|helps] scientists [to see distant stars|to study the weather|to watch the Earth|to look far into space].
The [conference|meeting|lecture|workshop] [begins|starts|opens] at [nine|ten|two] o'clock in the [morning|afternoon] and [ends|is over] at [five|six|noon].
At the [conference|meeting|workshop] in {city}, {people} [presented|discussed|shared|showed] [new ideas|their results|their research|a new method|the latest work in {field}].
[The IEEE|This year's|The annual|The international] conference [is held|takes place|will be held] in {city} [every year|in October|this summer|for the first time].
The [researchers|scientists|students] [presented|published|wrote] a paper [about|on] [attention|language models|data visualization|climate change|the human brain|{field}].
The [speaker|professor|teacher] [showed|explained|drew] [a picture|a chart|an example|the results] on the [screen|board|wall] and [asked for questions|everyone listened|the audience laughed].
The museum is [closed|open] on [Mondays|Sundays|Tuesdays], but on every other day of the ‹week|month› it is [open|closed] [from nine to five|to all visitors|until the evening].
The [library|museum|shop|bank|office|post office] [opens|closes] at [eight|nine|ten|six] o'clock [in the morning|on weekdays|except on Sundays].
To make [bread|a cake|pancakes|soup|tea|a salad], you need [flour, water, salt and yeast|flour, eggs, butter and sugar|eggs, milk and flour|vegetables, water and salt|hot water and a cup|lettuce, tomatoes and oil].
[Wash|Cut|Boil|Peel|Mix] the [potatoes|carrots|vegetables|apples|eggs], then [add|stir in|pour in] [some salt|a little water|the butter|two spoons of oil] and [cook|bake|wait|stir] for {number} ‹minutes|books›.
[Put|Place] the [cake|bread|pan] in the oven and [bake|leave] it for {number} ‹minutes|birds›.
{name} [turned on|opened|closed|switched off] the [computer|laptop|tablet] and [began to write|read the news|answered her messages|looked for the file|watched a film].
{name} [sent|wrote|received|read] [an email|a message|a letter] [to the teacher|from a friend|about the meeting|before lunch].
[Click|Press|Tap] the [button|icon|key] to [open|close|save|print|send|start] the [file|window|program|message|page].
You can [use|change|download|install] the [program|app|software] [for free|in a few minutes|without an account|on any computer].
The [password|file|website|page] [was changed|could not be found|is not correct|was saved] [yesterday|again|by mistake|this morning].
The [train|bus|plane] to {city} [leaves|arrives|departs] at [seven|eight|nine|ten] o'clock from [platform {number}|the main station|the new terminal].
The [flight|journey|train ride] from {city} to {city2} takes [about|almost|more than] {number} ‹hours|shoes›.
The [city|government|town|council] [built|opened|planned|closed] a new [bridge|school|hospital|park|road|railway] [last year|near the river|for everyone|in the center of the city].
The [weather|forecast] [today|tomorrow] will be [sunny and warm|cold and windy|cloudy with some rain|dry and mild].
[It rained|It snowed|The sun shone] all [day|night|week], so [the streets were wet|we stayed at home|the children played outside|the match was postponed].
It was a hot day. The [boy|man|dog|farmer] was thirsty, so he wanted to drink some cold ‹water|bread›.
It was a cold [day|night|morning], so {name} put on a warm ‹coat|river› [and went outside|before leaving|and a hat].
The [doctor|nurse] [told|asked|advised] the patient to [rest|drink more water|take the medicine|come back next week|stay in bed].
[Regular exercise|Good food|Enough sleep|Fresh air] [is important for|helps|is good for] [your health|children|the heart|the brain].
The [team|club|girls|players] won the [match|game|final] by {number} [goals|points] and [celebrated|cheered|went home happy|received a prize].
The [scientist|researcher|student] [measured|observed|tested|repeated] the [temperature|experiment|results|effect] [again|every hour|in the laboratory|with great care].
Water [freezes|turns into ice] at [zero degrees|a low temperature] and [boils|turns into steam] at [a hundred degrees|a high temperature].
[Plants|Trees|Flowers] need [light|water|air|sunlight], and they [grow|bloom] [in spring|when it is warm|toward the sun].
The [climate|weather|world] is [changing|getting warmer], and [scientists|many people|governments] [are looking for|want to find|talk about] [solutions|answers|new sources of energy].
[Solar|Wind|Clean] [energy|power] [is|has become] [cheaper|important|more common] [every year|in many countries|than coal].
The [human|animal] brain [has|contains|is made of] [billions of|many] [cells|nerve cells] that [work together|send signals to each other].
The [story|book|film|article] is about [a girl who|a man who|a family that|two friends who] [moves to {city}|discovers a secret|travels around the world|finds an old map].
[The invoice|The bill|The order] for the [machine|computer|chairs|books|reactor] was [paid|sent|lost|higher than expected] [on Friday|last week|by the office|in January].
The company [sells|makes|designs|develops] [computers|cars|furniture|software|medicines|toys] and has [offices in {city}|many customers|more than {number} employees].
The [price|cost|number] of [houses|food|energy|tickets|cars] [rose|fell|did not change] by {number} ‹percent|letters› [last year|this month|in ten years].
[In my opinion|For example|However|As a result|In other words], [it is important to|we should|it is not easy to] [learn from mistakes|ask good questions|listen to others|save water|understand the problem].
The [teacher|professor] asked the [students|class] to [open their books|solve the problem|write a short text|work in groups|read the first chapter].
[Mathematics|Physics|Chemistry|Biology|History] is [the study of|about] [numbers and shapes|matter and energy|living things|the past|how things work].
The answer to the [question|problem] is [simple|not known|on the next page|easy to find], but [few people know it|it takes time to understand|nobody asked].
[Scientists|Engineers|Doctors] [have found|discovered|developed|built] a new [way|method|machine|material|medicine] to [clean water|store energy|treat the disease|help {people}|measure time].
[More and more|Many|Not all] {people} [work from home|travel by train|read on their phones|learn a second language|use {tool}].
{people} use {tool} to [find information|learn new things|talk to friends|plan their day|solve problems|make decisions].
[Music|Reading|Travel|Painting|Cooking] [makes|helps|teaches] {people} [to relax|to think|happy|to understand each other].
Welcome to {city}! [We hope you enjoy your stay|Please follow the signs|The tour begins in {number} minutes].
Please [turn off|put away|do not use] your [phone|computer|camera] [during|in] the [lesson|film|concert|meeting].
[Last|Next] [week|month|year|summer], {name} [moved|travelled|flew|will move|wants to go] to {city} to [study {field}|visit a friend|find a new job|see the museum].
{name} [is|works as] a [teacher|doctor|nurse|driver|cook|programmer|writer|lawyer] in {city} and [likes her work|has two children|speaks three languages|rides a bike to work].
The [old|new] [lighthouse|factory|theatre|station] [stands|was built] [near the sea|in the middle of the town|a hundred years ago] and [is now a museum|can be seen from far away|will be closed next year].
The cat [sat|slept|lay] on the [mat|chair|table|sofa|bed] and [looked at the bird|dreamed|did not move|washed its face].
The quick brown fox [jumps|jumped] over the lazy ‹dog|house›.
""".strip().splitlines()


def words(rng: random.Random) -> dict[str, str]:
    """A word for every slot of the patterns."""
    slots = {"people": PEOPLE, "field": FIELDS, "tool": TOOLS, "planet": PLANETS, "name": NAMES, "number": NUMBERS}
    city, city2 = rng.sample(CITIES, 2)
    return {slot: rng.choice(known) for slot, known in slots.items()} | {"city": city, "city2": city2}
