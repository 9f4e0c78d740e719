# SPDX-License-Identifier: Apache-2.0
# The classification example that every introduction to keras.applications begins with.
import keras
import numpy as np
from keras.applications.resnet50 import ResNet50, decode_predictions, preprocess_input

model = ResNet50(weights="imagenet")

img_path = "elephant.jpg"
img = keras.utils.load_img(img_path, target_size=(224, 224))
x = keras.utils.img_to_array(img)
x = np.expand_dims(x, axis=0)
x = preprocess_input(x)

preds = model.predict(x)
print("Predicted:", decode_predictions(preds, top=3)[0])
